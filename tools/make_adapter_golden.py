#!/usr/bin/env python3
"""Writes the reference data of adapters, tests/golden/data/adapters: what peft saves, and what it computes with it.

  make_adapter_golden.py MODEL_FOLDER OUT_FOLDER VARIANT...

MODEL_FOLDER is tests/golden/data/models/mixtral-tiny-f32. Each variant becomes a folder with
adapter_config.json and adapter_model.safetensors, both written by peft's save_pretrained(), and
golden.safetensors, from transformers in float32 with peft's layers in place, nothing merged:

input_ids.N   [T] of sequence N
logits.N      [T, columns] of every position, but only of the tokens in `columns`
nll.N         [T - 1] -log p(next token): it needs the logits of all tokens
columns       ids of tokens

"pattern" has no golden.safetensors: the engine refuses ranks that adapter_config.json gives by name.
transformers 5 has no module for an expert's matrix, so "all" takes an earlier one; versions are in
the header of golden.safetensors.
"""

import sys
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
# Ranks that do not fill a panel of 16 rows.
VARIANTS = {
    "all": {"r": 2, "lora_alpha": 3, "target_modules": [*ATTENTION, "w1", "w2", "w3", "lm_head"]},
    "attention": {
        "r": 17, "lora_alpha": 5, "use_rslora": True, "target_modules": ATTENTION, "layers_to_transform": [1],
    },
    "pattern": {"r": 2, "lora_alpha": 3, "target_modules": ["q_proj", "v_proj"], "rank_pattern": {"v_proj": 3}},
}  # fmt: skip
SEED = 0
SEQUENCE_LENGTHS = [37, 16, 5]
# A step that no power of two divides: columns of every lane of a vector.
COLUMN_STEP = 17
# Of the router's logits of the last expert chosen and the first one not. With less, a cache in 16 bits might choose.
SMALLEST_GAP = 0.02


def load_model(folder):
    model = transformers.MixtralForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    # It goes into adapter_config.json.
    model.name_or_path = folder.name
    return model


def check_model(model, folder):
    """A folder that another version of transformers wrote may be read without an error and yet wrongly."""
    with safe_open(folder / "golden.safetensors", "pt") as golden:
        ids, expected = golden.get_tensor("input_ids"), golden.get_tensor("logits")
    with torch.no_grad():
        difference = (model(ids[None].long(), use_cache=False).logits[0] - expected).abs().max().item()
    if difference > 1e-4:
        sys.exit(f"{folder}: logits differ by {difference} from those in golden.safetensors")


def add_adapter(model, settings, generator):
    # peft begins with B = 0, an adapter that changes nothing.
    adapted = get_peft_model(model, LoraConfig(lora_dropout=0.1, **settings)).eval()
    for name, values in adapted.named_parameters():
        if "lora_" in name:
            scale = 0.3 if "lora_B" in name else values.shape[1] ** -0.5
            values.data = scale * torch.randn(values.shape, generator=generator)
    return adapted


def smallest_gap(router_logits, n_chosen):
    gaps = []
    for logits in router_logits:
        best = logits.sort(-1, descending=True).values
        gaps.append((best[:, n_chosen - 1] - best[:, n_chosen]).min().item())
    return min(gaps)


def results(adapted, generator):
    config = adapted.config
    columns = torch.arange(0, config.vocab_size, COLUMN_STEP)
    tensors = {"columns": columns.int()}
    for n, length in enumerate(SEQUENCE_LENGTHS):
        ids = torch.randint(3, config.vocab_size, (length,), generator=generator)
        ids[0] = config.bos_token_id
        with torch.no_grad():
            out = adapted(input_ids=ids[None], use_cache=False, output_router_logits=True)
        gap = smallest_gap(out.router_logits, config.num_experts_per_tok)
        if gap < SMALLEST_GAP:
            sys.exit(f"sequence {n}: a router's logits are within {gap}: take another seed")
        logits = out.logits[0]
        tensors[f"input_ids.{n}"] = ids.int()
        tensors[f"logits.{n}"] = logits[:, columns].contiguous()
        tensors[f"nll.{n}"] = torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
    return tensors


def main():
    model_folder, out_folder, variants = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    versions = {package.__name__: package.__version__ for package in (peft, transformers, torch)}
    for variant in variants:
        generator = torch.Generator().manual_seed(SEED)
        model = load_model(model_folder)
        check_model(model, model_folder)
        adapted = add_adapter(model, VARIANTS[variant], generator)
        folder = out_folder / variant
        # Otherwise it adds the whole output matrix of the model if that one has an adapter.
        adapted.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink()  # an empty form
        if "rank_pattern" not in VARIANTS[variant]:
            save_file(results(adapted, generator), folder / "golden.safetensors", metadata=versions)
        print(f"{folder}: {versions}")


if __name__ == "__main__":
    main()
