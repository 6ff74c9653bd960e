"""Trains the tiny model and writes its folder: `python -m training.train_tiny --out FOLDER`.

A Llama of 2.9 million parameters, from chance weights, on the stream of training/corpus.py. The
layers' matrices are trained with Muon (Jordan 2024), the rest with AdamW; in the last part every
second step computes with weights rounded to 4 bit, so that quantization costs next to nothing.
Same seed, versions and kind of machine: same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from training import tokenizer as tiny_tokenizer
from training.batches import Batch, batches
from training.corpus import Question, held_out_questions
from training.evaluate_tiny import accuracy_by_skill, write_held_out
from training.fake_quantization import four_bit

CONTEXT = 2048
# The share of steps before weights are rounded to 4 bit in every second step.
FULL_PRECISION_SHARE = 0.6


def tiny_config(tokenizer: Tokenizer, hidden: int, layers: int) -> LlamaConfig:
    """The architecture: every matrix dimension is a multiple of 32, the group of 4-bit weights.

    `hidden` is a multiple of 64: heads have 32 features and two of them share a key.
    """
    end_of_text = tokenizer.token_to_id(tiny_tokenizer.END_OF_TEXT)
    turn_end = tokenizer.token_to_id(tiny_tokenizer.TURN_END)
    return LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 64,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=turn_end,
        pad_token_id=end_of_text,
    )


def loss_of(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the tokens in the loss mask; only their logits are computed."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=batch.token_ids[:, :-1], use_cache=False).last_hidden_state
        loss_mask = batch.loss_mask[:, 1:]
        logits = model.lm_head(hidden[loss_mask])
    return torch.nn.functional.cross_entropy(logits.float(), batch.token_ids[:, 1:][loss_mask])


def optimizers(model: LlamaForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the embedding and the norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    inside = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in inside]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def train(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    options: argparse.Namespace,
    questions: list[Question],
) -> None:
    """Runs all steps; prints loss, speed and now and then the share of test questions right."""
    steppers = optimizers(model, options.rate)
    stream = batches(tokenizer, options.seed, options.tokens)
    begun, seen, smooth = time.monotonic(), 0, math.nan
    for step in range(options.steps):
        # Warm up for 3 %, then go down in a straight line to nothing.
        factor = min((step + 1) / (0.03 * options.steps), 1 - step / options.steps)
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = options.rate * factor
            stepper.zero_grad()
        batch = next(stream)
        if step >= options.full_precision_share * options.steps and step % 2:
            with four_bit(model):
                loss = loss_of(model, batch)
                loss.backward()
        else:
            loss = loss_of(model, batch)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            stepper.step()
        seen += batch.token_ids.numel()
        smooth = loss.item() if math.isnan(smooth) else 0.95 * smooth + 0.05 * loss.item()
        if (step + 1) % 50 == 0:
            elapsed = time.monotonic() - begun
            print(
                f"step {step + 1}/{options.steps} loss {smooth:.4f} "
                f"{seen / elapsed:.0f} tok/s {elapsed:.0f} s",
                flush=True,
            )
        if options.check_every and (step + 1) % options.check_every == 0:
            print(json.dumps(accuracy_by_skill(model, tokenizer, questions[::3])), flush=True)


def write(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes the model's folder: float16 weights, config, generation defaults, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().half().contiguous() for name, p in model.named_parameters()}
    weights = folder / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    # save_file makes it readable for its owner alone, and so would be the file inside a wheel.
    weights.chmod(0o644)
    config = model.config.to_dict() | {"architectures": ["LlamaForCausalLM"], "dtype": "float16"}
    kept = (
        "architectures", "attention_bias", "bos_token_id", "dtype", "eos_token_id", "head_dim",
        "hidden_act", "hidden_size", "initializer_range", "intermediate_size",
        "max_position_embeddings", "mlp_bias", "model_type", "num_attention_heads",
        "num_hidden_layers", "num_key_value_heads", "pad_token_id", "rms_norm_eps",
        "rope_parameters", "tie_word_embeddings", "vocab_size",
    )  # fmt: skip
    (folder / "config.json").write_text(
        json.dumps({key: config[key] for key in kept}, indent=2) + "\n", encoding="utf-8"
    )
    generation = {
        "do_sample": False,
        "eos_token_id": [config["eos_token_id"], config["pad_token_id"]],
        "pad_token_id": config["pad_token_id"],
    }
    (folder / "generation_config.json").write_text(
        json.dumps(generation, indent=2) + "\n", encoding="utf-8"
    )
    tiny_tokenizer.save(tokenizer, folder, CONTEXT)


def main() -> None:
    """Trains, measures in float32 and 4 bit what will be shipped, and writes the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--tokens", type=int, default=3072, help="tokens in a batch")
    parser.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--check-every", type=int, default=0, help="steps between tests on a third of the questions"
    )
    parser.add_argument("--hidden", type=int, default=256, help="a multiple of 64")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument(
        "--full-precision-share",
        type=float,
        default=FULL_PRECISION_SHARE,
        help="share of the steps before 4-bit weights come in; 1: never",
    )
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    tokenizer = tiny_tokenizer.learn(options.seed)
    config = tiny_config(tokenizer, options.hidden, options.layers)
    # For rows as short as ours plain attention is twice as fast as the fused kernel backwards.
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model = model.float()
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters:,} parameters, {tokenizer.get_vocab_size()} tokens", flush=True)
    questions = held_out_questions()
    train(model, tokenizer, options, questions)

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
    write(model, tokenizer, options.out)
    write_held_out(questions, options.out / "held_out.json")
    print("float32", json.dumps(accuracy_by_skill(model, tokenizer, questions, show_wrong=True)))
    with four_bit(model):
        print("4 bit", json.dumps(accuracy_by_skill(model, tokenizer, questions, show_wrong=True)))


if __name__ == "__main__":
    main()
