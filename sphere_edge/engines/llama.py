"""The llama engine: a GGUF goes into the bundle as it is, after its metadata have been checked."""

from __future__ import annotations

from sphere_edge import fit
from sphere_edge.bundle.manifest import ManifestDraft, Target, Text
from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import Progress
from sphere_edge.engines.options import PackageOptions, context_tokens
from sphere_edge.engines.place import place
from sphere_edge.engines.provenance import provenance
from sphere_edge.errors import InvalidArgumentError, ModelCorruptError, UnsupportedError
from sphere_edge.formats import gguf
from sphere_edge.formats.gguf import GgufFile
from sphere_edge.formats.source import ModelSource
from sphere_edge.profiles import DeviceProfile

# Architectures that llama.cpp loads but that do not continue a text.
_NOT_GENERATIVE = frozenset(
    {
        "bert",
        "clip",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
        "wavtokenizer-dec",
    }
)


def build(
    source: ModelSource,
    profile: DeviceProfile,
    options: PackageOptions,
    writer: BundleWriter,
    progress: Progress,
) -> ManifestDraft:
    """Puts the GGUF into `writer.folder` and returns what the manifest says of it.

    Raises UnsupportedError (not a language model), ModelCorruptError, OutOfMemoryError (does not
    fit the profile), InvalidArgumentError (options), StorageError (full disk).
    """
    file = gguf.read(source.path)
    _check(file, source, options)
    spec = model_spec(source.name, file)
    context = context_tokens(
        options.context_tokens, profile.defaults.context_tokens, spec.context_tokens
    )
    choice = fit.Choice(file.quantization, context, options.kv_dtype or "float16")
    memory = fit.check(spec, choice, profile)
    place(source.path.resolve(), writer, "model.gguf", progress)
    return ManifestDraft(
        name=options.name or source.name,
        task="text",
        engine="llama",
        family=file.architecture,
        quantization=file.quantization,
        parameters=file.parameters,
        profile=profile.name,
        target=Target(triple=profile.triple),
        text=Text(
            vocab_size=spec.vocab,
            context_tokens=context,
            kv_dtype=choice.kv_dtype,
            chat_template=options.chat_template,
        ),
        memory=memory,
        provenance=provenance(source, (), progress),
    )


def model_spec(name: str, file: GgufFile) -> fit.ModelSpec:
    """The sizes in a GGUF's metadata; of a list per layer the largest counts.

    Raises ModelCorruptError naming a key that is missing or makes no sense.
    """

    def size(key: str, default: int | None = None) -> int:
        value = file.number(key) or default
        if value is None or value < 1:
            message = f"`{file.path.name}` has no sound `{file.architecture}.{key}`"
            raise ModelCorruptError(message, hint="download the model again")
        return value

    hidden, heads = size("embedding_length"), size("attention.head_count")
    head_dim = max(1, hidden // heads)
    return fit.ModelSpec(
        name=name,
        parameters=file.parameters,
        weights_bytes={file.quantization: file.weights_bytes},
        layers=size("block_count"),
        query_heads=heads,
        kv_heads=size("attention.head_count_kv", heads),
        key_dim=size("attention.key_length", head_dim),
        value_dim=size("attention.value_length", head_dim),
        hidden=hidden,
        intermediate=size("feed_forward_length", 4 * hidden),
        vocab=file.vocab_size or size("vocab_size"),
        context_tokens=size("context_length"),
    )


def _check(file: GgufFile, source: ModelSource, options: PackageOptions) -> None:
    if file.architecture in _NOT_GENERATIVE:
        message = (
            f"`{source.reference}` does not generate text (architecture `{file.architecture}`)"
        )
        raise UnsupportedError(message)
    if not file.tensors or file.tokenizer is None or not file.vocab_size:
        lacks = "weights" if not file.tensors else "a tokenizer"
        message = f"`{source.reference}` is a GGUF without {lacks}"
        raise UnsupportedError(message, hint="choose the file with the whole model")
    if options.quantization is not None:
        message = f"`{source.reference}` is a GGUF and keeps its `{file.quantization}` weights"
        raise InvalidArgumentError(message, hint="leave out --quant, or package safetensors")
