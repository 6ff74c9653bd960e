"""The vocab and merges files that stable-diffusion.cpp compiles in, read from its pinned sources.

A bundle carries those that its family needs, half a megabyte to ten; compiled into the runtime all
of them would be 20 MB of it, and 26 s and 3 GB of the compiler's.
"""

from __future__ import annotations

from pathlib import Path

from sphere_edge.console import Progress
from sphere_edge.errors import InternalError
from sphere_edge.toolchain import sources

# Name in the bundle: the source file, and the array of bytes in it.
_FILES = {
    "clip_merges": ("clip_t5.hpp", "clip_merges_utf8_c_str"),
    "t5_json": ("clip_t5.hpp", "t5_tokenizer_json_str"),
    "qwen2_merges": ("qwen.hpp", "qwen2_merges_utf8_c_str"),
    "mistral_merges": ("mistral.hpp", "mistral_merges_utf8_c_str"),
    "mistral_vocab": ("mistral.hpp", "mistral_vocab_json_utf8_c_str"),
}
_FOLDER = Path("src") / "tokenizers" / "vocab"


def write(names: tuple[str, ...], folder: Path, progress: Progress) -> None:
    """Writes the files `names` into `folder`, which is made. Raises what fetching raises."""
    source = sources.fetch("stable_diffusion_cpp", progress)
    folder.mkdir()
    with progress.step("vocab and merges files", len(names)) as step:
        for name in names:
            file, array = _FILES[name]
            (folder / name).write_bytes(_bytes(source / _FOLDER / file, array))
            step.advance(1)


def _bytes(path: Path, array: str) -> bytes:
    """The numbers of the C array `array` in the file at `path`."""
    text = path.read_bytes()
    begin = text.find(f" {array}[] = {{".encode())
    end = text.find(b"}", begin)
    if begin < 0 or end < 0:
        message = f"`{path.name}` of stable-diffusion.cpp holds no `{array}`"
        raise InternalError(message)
    numbers = text[text.index(b"{", begin) + 1 : end]
    digits = numbers.translate(None, b" \t\r\n,").replace(b"0x", b"")
    return bytes.fromhex(digits.decode("ascii"))
