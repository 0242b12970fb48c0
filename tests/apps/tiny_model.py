"""Writes a whole mixture-of-experts model with a SentencePiece vocabulary as a GGUF file of half a megabyte.

Usage: FILE [ADAPTER_FOLDER] (as a program).
"""

import json
import os
import random
import string
import struct
import sys

DIM, LAYERS, HEADS, KV_HEADS, HIDDEN, EXPERTS, EXPERTS_PER_TOKEN, CONTEXT = 32, 2, 4, 2, 64, 4, 2, 256
BOS, END = 1, 2
UINT32, FLOAT32, STRING, ARRAY, INT32 = 4, 6, 8, 9, 5  # ids of value types in GGUF


def vocabulary():
    """(piece, score, type) of each token: controls, bytes, letters, and a few words with their parts."""
    pieces = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3)]
    pieces += [(f"<0x{byte:02X}>", 0, 6) for byte in range(256)]
    known = {}
    for word in ("▁Hello", "▁Once", "▁upon", "▁one", "▁two", "▁a"):
        for end in range(2, len(word) + 1):
            known.setdefault(word[:end])
    for letter in "▁" + string.ascii_letters + ".,!?":
        known.setdefault(letter)
    return pieces + [(piece, -float(rank), 1) for rank, piece in enumerate(known)]


def string_bytes(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def key(name, value_type, value):
    return string_bytes(name) + struct.pack("<I", value_type) + value


def array(item_type, items):
    return struct.pack("<IQ", item_type, len(items)) + b"".join(items)


def metadata(pieces):
    number = lambda name, value: key(name, UINT32, struct.pack("<I", value))
    return [
        key("general.architecture", STRING, string_bytes("llama")),
        number("llama.block_count", LAYERS),
        number("llama.context_length", CONTEXT),
        number("llama.embedding_length", DIM),
        number("llama.feed_forward_length", HIDDEN),
        number("llama.attention.head_count", HEADS),
        number("llama.attention.head_count_kv", KV_HEADS),
        number("llama.expert_count", EXPERTS),
        number("llama.expert_used_count", EXPERTS_PER_TOKEN),
        key("llama.attention.layer_norm_rms_epsilon", FLOAT32, struct.pack("<f", 1e-5)),
        key("tokenizer.ggml.model", STRING, string_bytes("llama")),
        key("tokenizer.ggml.tokens", ARRAY, array(STRING, [string_bytes(piece) for piece, _, _ in pieces])),
        key("tokenizer.ggml.scores", ARRAY, array(FLOAT32, [struct.pack("<f", score) for _, score, _ in pieces])),
        key("tokenizer.ggml.token_type", ARRAY, array(INT32, [struct.pack("<i", kind) for _, _, kind in pieces])),
        number("tokenizer.ggml.bos_token_id", BOS),
        number("tokenizer.ggml.eos_token_id", END),
    ]


def tensors(vocab_size):
    """(name, shape with the outermost dimension first)."""
    head_dim = DIM // HEADS
    yield "token_embd.weight", (vocab_size, DIM)
    yield "output_norm.weight", (DIM,)
    yield "output.weight", (vocab_size, DIM)
    for layer in range(LAYERS):
        yield f"blk.{layer}.attn_norm.weight", (DIM,)
        yield f"blk.{layer}.attn_q.weight", (DIM, DIM)
        yield f"blk.{layer}.attn_k.weight", (KV_HEADS * head_dim, DIM)
        yield f"blk.{layer}.attn_v.weight", (KV_HEADS * head_dim, DIM)
        yield f"blk.{layer}.attn_output.weight", (DIM, DIM)
        yield f"blk.{layer}.ffn_norm.weight", (DIM,)
        yield f"blk.{layer}.ffn_gate_inp.weight", (EXPERTS, DIM)
        yield f"blk.{layer}.ffn_gate_exps.weight", (EXPERTS, HIDDEN, DIM)
        yield f"blk.{layer}.ffn_up_exps.weight", (EXPERTS, HIDDEN, DIM)
        yield f"blk.{layer}.ffn_down_exps.weight", (EXPERTS, DIM, HIDDEN)


def write(path):
    pieces = vocabulary()
    keys = metadata(pieces)
    generator = random.Random(0)
    infos, data = [], bytearray()
    for name, shape in tensors(len(pieces)):
        count = 1
        for size in shape:
            count *= size
        infos.append(string_bytes(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
                     + struct.pack("<IQ", 0, len(data)))
        values = [1.0] * count if name.endswith("norm.weight") else [generator.gauss(0, 0.3) for _ in range(count)]
        data += struct.pack(f"<{count}f", *values)
        data += bytes(-len(data) % 32)
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(infos), len(keys)) + b"".join(keys) + b"".join(infos)
    with open(path, "wb") as file:
        file.write(header + bytes(-len(header) % 32) + data)


def write_adapter(folder, letters, size=1000.0):
    """A low-rank adapter of this model in mistral-finetune's form, with which it writes these two letters and nothing else."""
    tokens = [piece for piece, _, _ in vocabulary()]
    generator = random.Random(1)
    a = [generator.gauss(0, 1) for _ in range(DIM)]
    b = [0.0] * len(tokens)
    for letter, value in zip(letters, (size, -size), strict=True):  # one for either sign of A x
        b[tokens.index(letter)] = value
    header, data = {}, b""
    for name, shape, values in ("output.lora_A.weight", [1, DIM], a), ("output.lora_B.weight", [len(b), 1], b):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += struct.pack(f"<{len(values)}f", *values)
    text = json.dumps(header).encode()
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lora.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    write(sys.argv[1])
    if len(sys.argv) > 2:
        write_adapter(sys.argv[2], "ab")
