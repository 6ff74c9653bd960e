"""What weight formats cost: ours, plain round-to-nearest and llama.cpp's, on one model and text.

    python benchmarks/quantization.py [--model FOLDER] [--bits 5 6.5] [--gguf q4_0 …] [--json FILE]

Every row is compared with the same reference, the model in float32 through our compiled code; the
first is what packaging makes without flags. Speeds are medians of rounds in which all rows take
turns: tokens decoded per second of CPU time, on one thread, so that other work hardly matters. The
text: the questions in the model's held_out.json (as training/ writes it) with their right answers,
of which the answers count; without that file the built-in page. Sizes are those of the files that
hold weights. Round-to-nearest, scale = largest / 7 in groups of 32, is written as a GPTQ
checkpoint, which packaging keeps to the bit: it runs in the very kernels that q4 runs in.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from sphere_edge import console, packaging, profiles, resources
from sphere_edge.engines.options import PackageOptions
from sphere_edge.evaluation import windows
from sphere_edge.evaluation.comparison import Comparison, compare, same_tokens
from sphere_edge.evaluation.predictor import Subject
from sphere_edge.evaluation.windows import Chat, Message
from sphere_edge.formats.safetensors import Checkpoint, Writer
from sphere_edge.formats.source import CONFIG_FILES, open_source
from sphere_edge.runtime.text import TextManager

_GROUP = 32
_ROUNDS, _DECODED = 5, 32


def main() -> None:
    """Packages and compares one row after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=resources.tiny_model())
    parser.add_argument("--bits", type=float, nargs="*", default=[5.0, 6.5])
    parser.add_argument("--gguf", nargs="*", default=["q4_0"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sphere-edge-quantization-") as scratch:
        table = _measure(options, Path(scratch))
    columns = (
        "WEIGHTS",
        "MIB →",
        "BITS →",
        "KL →",
        "95 %",
        "KL P99 →",
        "PERPLEXITY →",
        "TOP-1 →",
        "TOK/CPU S →",
        "PACKAGING CPU S →",
    )
    console.write_table(columns, [_cells(row) for row in table])
    if options.json is not None:
        options.json.write_text(json.dumps(table, indent=1) + "\n")


def _measure(options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    plain = _round_to_nearest(options.model, scratch / "plain")
    wanted = {
        "without flags": (options.model, PackageOptions()),
        "q8": (options.model, PackageOptions(quantization="q8")),
        "round to nearest": (plain, PackageOptions(quantization="q4")),
        "q4": (options.model, PackageOptions(quantization="q4")),
        **{
            f"q4 and q8, --bits {bits:g}": (
                options.model,
                PackageOptions(quantization="q4", bits=bits),
            )
            for bits in options.bits
        },
        **{
            f"llama.cpp {name.upper()}": (
                options.model,
                PackageOptions(quantization=name, as_gguf=True),
            )
            for name in options.gguf
        },
    }
    table: list[dict[str, Any]] = []
    bundles: dict[str, Path] = {}
    with ExitStack() as stack:
        exact = _package(options.model, PackageOptions(quantization="f32"), scratch / "exact")
        reference = _open(stack, exact, "float32")
        read: list[windows.Window] = []
        for number, (label, (model, asked)) in enumerate(wanted.items()):
            started = _cpu_seconds()
            bundle = bundles[label] = _package(model, asked, scratch / str(number))
            packaging_s = _cpu_seconds() - started
            with ExitStack() as own:
                candidate = _open(own, bundle, label)
                read = read or _windows(options.model, reference, candidate)
                compared = compare(reference, candidate, read)
            table.append({**_row(label, bundle, compared), "packaging_cpu_s": packaging_s})
            console.say(f"{label}: KL {compared.divergence.value:.6f}")
    for row, speed in zip(table, _decode_speeds(list(bundles.values())), strict=True):
        row["decoded_per_cpu_s"] = speed
    return table


def _cpu_seconds() -> float:
    """Of this process and the programs that it has waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _decode_speeds(bundles: list[Path]) -> list[float]:
    """Tokens per second of CPU time of each, after a short prompt."""
    prompt = resources.evaluation_text()[:200]
    with ExitStack() as stack:
        opened = [stack.enter_context(TextManager.open(one, threads=1)) for one in bundles]
        speeds: list[list[float]] = [[] for _ in bundles]
        for _ in range(_ROUNDS):
            for text, found in zip(opened, speeds, strict=True):
                ids = text.tokenize(prompt)
                text.next_logits(ids)
                started = time.process_time()
                for token in range(_DECODED):
                    ids.append(ids[token])
                    text.next_logits(ids)
                found.append(_DECODED / (time.process_time() - started))
    return [statistics.median(found) for found in speeds]


def _windows(folder: Path, reference: Subject, candidate: Subject) -> list[windows.Window]:
    largest = windows.largest_window(reference, candidate)
    held_out = folder / "held_out.json"
    if not held_out.is_file():
        ids = same_tokens(reference, candidate, resources.evaluation_text())
        return windows.of_text(ids, None, largest)
    chats = [
        Chat(
            messages=(
                Message(role="user", content=one["question"]),
                Message(role="assistant", content=one["accepted"][0]),
            )
        )
        for one in json.loads(held_out.read_text(encoding="utf-8"))
    ]
    return windows.of_chats(reference, chats, largest)


def _package(model: Path, options: PackageOptions, output: Path) -> Path:
    return packaging.package(open_source(str(model)), profiles.host(), options, output).output


def _open(stack: ExitStack, bundle: Path, name: str) -> Subject:
    text = stack.enter_context(TextManager.open(bundle))
    return Subject(name, text, text.info.vocab_size, text.info.context_tokens)


def _round_to_nearest(model: Path, folder: Path) -> Path:
    """The checkpoint in GPTQ's layout, every matrix rounded to the nearest of 15 multiples."""
    folder.mkdir()
    for name in CONFIG_FILES:
        if (model / name).is_file():
            shutil.copy(model / name, folder / name)
    settings = {"quant_method": "gptq", "bits": 4, "group_size": _GROUP, "sym": True}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "quantization_config": settings})
    (folder / "config.json").write_text(text, encoding="utf-8")
    checkpoint = Checkpoint.open(model)
    arrays: dict[str, tuple[str, Any]] = {}
    for name, entry in checkpoint.tensors.items():
        values = checkpoint.read(name)
        if len(entry.shape) != 2:
            arrays[name] = ("f32", values)
            continue
        groups = values.reshape(entry.shape[0], -1, _GROUP)
        scale = (np.abs(groups).max(axis=-1) / 7).astype(np.float16)
        step = np.where(scale == 0, 1, scale).astype(np.float32)
        q = np.clip(np.rint(groups / step[..., None]), -7, 7).astype(np.int64) + 8
        stem = name.removesuffix(".weight")
        arrays |= {
            f"{stem}.qweight": ("i32", _words(q.reshape(entry.shape).T)),
            # One less than the zero, which is 8, as GPTQ's first format has it.
            f"{stem}.qzeros": ("i32", np.ascontiguousarray(_words(np.full(scale.shape, 7)).T)),
            f"{stem}.scales": ("f16", np.ascontiguousarray(scale.T)),
        }
    described = [(name, dtype, array.shape) for name, (dtype, array) in arrays.items()]
    with Writer(folder / "model.safetensors", described) as writer:
        for name, (_, array) in arrays.items():
            writer.write(name, array)
    return folder


def _words(numbers: Any) -> Any:
    """Eight neighbours of the first axis, 0..15, in one int32."""
    packed = sum(numbers[nibble::8].astype(np.int64) << (4 * nibble) for nibble in range(8))
    return np.ascontiguousarray(np.asarray(packed).astype(np.uint32).view(np.int32))


def _row(label: str, bundle: Path, compared: Comparison) -> dict[str, Any]:
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    size = sum(one["bytes"] for one in manifest["files"] if one["role"] in ("weights", "model"))
    figures = compared.as_json()
    del figures["kl_divergence_by_position"]
    bits = 8 * size / manifest["parameters"]
    return {"weights": label, "bytes": size, "bits_per_weight": bits, **figures}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    divergence = row["kl_divergence"]
    low, high = divergence["low"], divergence["high"]
    return (
        row["weights"],
        f"{row['bytes'] / 2**20:.3f}",
        f"{row['bits_per_weight']:.2f}",
        f"{divergence['value']:.6f}",
        f"{low:.6f} to {high:.6f}" if low is not None else "",
        f"{divergence['p99']:.5f}",
        f"{row['candidate_perplexity']['value']:.4f}",
        f"{100 * row['top1_agreement']['value']:.2f} %",
        f"{row['decoded_per_cpu_s']:.1f}",
        f"{row['packaging_cpu_s']:.1f}",
    )


if __name__ == "__main__":
    main()
