"""A Llama of random weights and a byte vocabulary as a GGUF file: the smallest model that talks."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
# Byte-level BPE needs at least one merge to be accepted.
MERGES = ("t h", "th e")

_LINE_END = "\u010a"
_HIDDEN = 64
_HEADS = 4
_KV_HEADS = 2
_FEED_FORWARD = 128


def write(
    path: Path,
    *,
    layers: int = 2,
    context: int = 4096,
    seed: int = 7,
    architecture: str = "llama",
    tensors_a_part: int = 0,
    chat_template: str = TEMPLATE,
    name: str = "random",
    only_ascii: bool = False,
    sampling: dict[str, float] | None = None,
    begins_lines: str = "",
    weights: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
) -> Path:
    """Writes the file; the same arguments give the same bytes.

    `tensors_a_part`: splits the model, whose first part is returned.
    `only_ascii`: each token is whole characters, so that all text it makes is.
    `sampling`: what it advises, by the names below `general.sampling`.
    `begins_lines`: a token more, which it says after each end of a line, and again after itself.
    `weights`: the type of all matrices but the tokens' embeddings.
    """
    characters = byte_characters()[: 128 if only_ascii else 256]
    tokens = [*characters, "th", "the", *SPECIAL]
    if begins_lines:
        tokens.append(begins_lines.replace("\n", _LINE_END))
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=tensors_a_part)
    writer.add_name(name)
    for key, value in (sampling or {}).items():
        writer.add_float32(f"general.sampling.{key}", value)
    writer.add_context_length(context)
    writer.add_embedding_length(_HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    if architecture == "qwen2vl":
        # Of the 8 pairs of a head's 16 numbers: by time, height and width.
        writer.add_rope_dimension_sections([2, 3, 3, 0])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_token_types([control if token in SPECIAL else normal for token in tokens])
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template)
    random = np.random.default_rng(seed)

    def matrix(name: str, rows: int, columns: int) -> None:
        numbers = random.standard_normal((rows, columns), np.float32) * np.float32(2 / columns**0.5)
        if begins_lines and rows == len(tokens):
            line_end = np.sin(np.arange(columns, dtype=np.float32))
            # So much that what the layers add changes nothing.
            if name == "token_embd":
                numbers[[tokens.index(_LINE_END), -1]] = 100 * line_end
            else:
                numbers[-1] = line_end
        kind = gguf.GGMLQuantizationType.F32 if name == "token_embd" else weights
        writer.add_tensor(f"{name}.weight", gguf.quantize(numbers, kind), raw_dtype=kind)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(_HIDDEN, np.float32))

    kv = _HIDDEN // _HEADS * _KV_HEADS
    matrix("token_embd", len(tokens), _HIDDEN)
    for layer in range(layers):
        prefix = f"blk.{layer}."
        norm(f"{prefix}attn_norm")
        matrix(f"{prefix}attn_q", _HIDDEN, _HIDDEN)
        matrix(f"{prefix}attn_k", kv, _HIDDEN)
        matrix(f"{prefix}attn_v", kv, _HIDDEN)
        matrix(f"{prefix}attn_output", _HIDDEN, _HIDDEN)
        norm(f"{prefix}ffn_norm")
        matrix(f"{prefix}ffn_gate", _FEED_FORWARD, _HIDDEN)
        matrix(f"{prefix}ffn_up", _FEED_FORWARD, _HIDDEN)
        matrix(f"{prefix}ffn_down", _HIDDEN, _FEED_FORWARD)
    norm("output_norm")
    matrix("output", len(tokens), _HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path if tensors_a_part == 0 else min(path.parent.glob(f"{path.stem}-00001-of-*.gguf"))


def byte_characters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes (openai/gpt-2, src/encoder.py)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    stands_in = {byte: byte for byte in printable}
    stands_in |= {byte: 256 + number for number, byte in enumerate(others)}
    return [chr(stands_in[byte]) for byte in range(256)]
