#!/usr/bin/env python3
"""Writes the reference data of the block formats, tests/golden/data/quant.

  make_quant_vectors.py GGUF_FOLDER OUT_FOLDER

blocks.bin           random valid blocks of every type and the floats that gguf-py 0.19.0 unpacks
llama_quantize.bin   what llama.cpp's llama-quantize made of floats, and those floats; taken from
                     GGUF_FOLDER/mixtral-TYPE.gguf and the mixtral-F32.gguf they were made from

Both are lists of records, little-endian: u32 GGUF type id, u32 weights, u32 bytes; the bytes; the
floats.
"""

import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, dequantize

# Byte offsets of the F16 scales in a block.
SCALES = {
    "F32": [], "F16": [], "BF16": [],
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0],
}  # fmt: skip
# A file in which llama-quantize stored some tensor as the type.
FILES = {
    "Q8_0": "Q8_0", "Q4_0": "Q4_0", "Q4_1": "Q4_1", "Q5_0": "Q5_0", "Q5_1": "Q5_1",
    "Q2_K": "Q2_K", "Q3_K": "Q3_K_S", "Q4_K": "Q4_K_S", "Q5_K": "Q5_K_M", "Q6_K": "Q6_K",
    "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS",
}  # fmt: skip
# 0, -0, smallest and largest subnormal, a negative subnormal, smallest normal, ±largest.
SPECIAL = [0x0000, 0x8000, 0x0001, 0x03FF, 0x8200, 0x0400, 0x7BFF, 0xFBFF]
N_COMPARED = 2048


def record(type_, packed, floats):
    packed = np.ascontiguousarray(packed).reshape(-1).view(np.uint8)
    floats = np.ascontiguousarray(floats, dtype="<f4").reshape(-1)
    head = struct.pack("<III", int(type_), floats.size, packed.size)
    return head + packed.tobytes() + floats.tobytes()


def random_blocks(rng, name):
    type_ = GGMLQuantizationType[name]
    weights, size = GGML_QUANT_SIZES[type_]
    n_blocks = {1: 64, 32: 16, 256: 8}[weights]
    blocks = rng.integers(0, 256, (n_blocks, size), dtype=np.uint8)
    for at, offset in enumerate(SCALES[name]):
        scales = rng.standard_normal(n_blocks).astype("<f2").view("<u2")
        special = np.roll(SPECIAL, 3 * at)[: n_blocks - 2]
        scales[: special.size] = special
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(-1, 2)
    if weights == 1:  # every value finite: no exponent of all ones
        blocks[:, -1] &= 0xBF
    flat = blocks.reshape(-1)
    return record(type_, flat, dequantize(flat, type_))


def quantised_tensor(folder, name):
    type_ = GGMLQuantizationType[name]
    weights, size = GGML_QUANT_SIZES[type_]
    file = folder / f"mixtral-{FILES[name]}.gguf"
    tensor = next(t for t in GGUFReader(file).tensors if t.tensor_type == type_)
    source = next(
        t for t in GGUFReader(folder / "mixtral-F32.gguf").tensors if t.name == tensor.name
    )
    packed = np.asarray(tensor.data).reshape(-1)[: N_COMPARED // weights * size]
    return record(type_, packed, np.asarray(source.data).reshape(-1)[:N_COMPARED])


def main():
    gguf_folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    rng = np.random.default_rng(0)
    (out / "blocks.bin").write_bytes(b"".join(random_blocks(rng, name) for name in SCALES))
    (out / "llama_quantize.bin").write_bytes(
        b"".join(quantised_tensor(gguf_folder, name) for name in FILES)
    )


if __name__ == "__main__":
    main()
