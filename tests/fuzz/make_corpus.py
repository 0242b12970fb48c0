#!/usr/bin/env python3
"""Writes the seed corpora below tests/fuzz/corpus: small files that reach every branch of the format
readers, good and bad. Run it after changing it, and commit what it wrote.

Only the folders of the harnesses named here are touched: HARNESS/seed-NAME."""

import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B",
           U64: "Q", I64: "q", F64: "d"}


def write(harness, name, data):
    folder = CORPUS / harness
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def gguf_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(kind, value):
    if isinstance(value, list):
        items = b"".join(gguf_value(kind, item)[4:] for item in value)
        return struct.pack("<IIQ", ARRAY, kind, len(value)) + items
    data = gguf_string(value) if kind == STRING else struct.pack("<" + FORMATS[kind], value)
    return struct.pack("<I", kind) + data


def gguf(keys, tensors, version=3, alignment=32):
    """keys: (name, kind, value); tensors: (name, dims fastest first, type id, bytes)."""
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    for name, kind, value in keys:
        header += gguf_string(name) + gguf_value(kind, value)
    data = b""
    for name, dims, type_id, content in tensors:
        header += gguf_string(name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        header += struct.pack("<IQ", type_id, len(data))
        data += content + bytes(-len(content) % alignment)
    return header + bytes(-len(header) % alignment) + data


def packed(keys, tensors, version=1):
    """A packed model (docs/adr/0006-packed-models.md) of the same keys and F32 tensors; the harness adds checksums."""
    body = b"".join(gguf_string(name) + gguf_value(kind, value) for name, kind, value in keys)
    placed, data = [], b""
    for name, dims, _, content in tensors:
        if len(dims) == 1:
            panels = content
        else:  # 16 rows side by side, column after column
            n_cols, n_rows = dims
            values = struct.unpack(f"<{n_rows * n_cols}f", content)
            panels = b"".join(struct.pack("<f", values[row * n_cols + col] if row < n_rows else 0)
                              for first in range(0, n_rows, 16) for col in range(n_cols) for row in range(first, first + 16))
        placed.append((name, dims, len(data)))
        data += panels + bytes(-len(panels) % 64)
    data += bytes(-len(data) % 4096)
    size = 56 + len(body) + sum(len(gguf_string(name)) + 24 + 8 * len(dims) for name, dims, _ in placed)
    header_bytes = size + -size % 4096
    for name, dims, offset in placed:
        body += gguf_string(name) + struct.pack(f"<II{len(dims)}Q", 0, len(dims), *reversed(dims))
        body += struct.pack("<QQ", header_bytes + offset, 0)
    preamble = b"MIXTPACK" + struct.pack("<IIQQQQQ", version, 0, header_bytes, header_bytes + len(data), len(keys), len(placed), 0)
    return (preamble + body).ljust(header_bytes, b"\0") + data


def make_gguf():
    every_kind = [(f"scalar.{kind}", kind, 1) for kind in FORMATS]
    every_kind += [(f"array.{kind}", kind, [0, 1]) for kind in FORMATS]
    every_kind += [("text", STRING, "llama"), ("texts", STRING, ["", "a", b"\xff"])]
    f32 = ("token_embd.weight", [4, 2], 0, bytes(32))
    write("io_gguf_fuzz", "every-kind", gguf(every_kind, []))
    write("io_gguf_fuzz", "version-2", gguf([("general.architecture", STRING, "llama")], [f32], 2))
    write("io_gguf_fuzz", "alignment", gguf([("general.alignment", U32, 8)], [f32, ("b", [1], 0, bytes(4))], 3, 8))
    write("io_gguf_fuzz", "split", gguf([("split.no", U16, 0), ("split.count", U16, 2),
                                         ("split.tensors.count", I32, 1)], [f32]))
    blocks = [("q4_0", [32, 1], 2, bytes(18)), ("q8_0", [32, 2, 1], 8, bytes(68)),
              ("q4_k", [256, 1, 1, 1], 12, bytes(144)), ("bf16", [3], 30, bytes(6))]
    write("io_gguf_fuzz", "types", gguf([], blocks))
    write("io_gguf_fuzz", "unsupported", gguf([], [("iq2", [256], 16, bytes(66))]))
    write("io_gguf_fuzz", "huge-count", gguf([], [])[:8] + struct.pack("<QQ", 1 << 63, 1 << 40))
    write("io_gguf_fuzz", "nested", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_string("k") +
          struct.pack("<IIQIQ", ARRAY, ARRAY, 1, U8, 0))


def safetensors(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def make_safetensors():
    def tensor(dtype, shape, begin, end):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    good = {"__metadata__": {"format": "pt"}, "a": tensor("F32", [2, 1], 0, 8),
            "b": tensor("BF16", [2], 8, 12), "c": tensor("F16", [], 12, 14)}
    ints = {"i": tensor("I32", [1], 0, 4), "l": tensor("I64", [1], 4, 12), "e": tensor("F32", [0], 0, 0)}
    index = json.dumps({"metadata": {"total_size": 14},
                        "weight_map": {name: "a.safetensors" for name in "abc"}}).encode()
    seeds = {
        "good": b"F" + safetensors(good, bytes(14)),
        "ints": b"F" + safetensors(ints, bytes(12)),
        "overlap": b"F" + safetensors({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 2, 6)}, bytes(6)),
        "duplicate": b"F" + safetensors(b'{"a":{},"a":{}}', b""),
        "overflow": b"F" + safetensors({"a": tensor("F32", [1 << 62, 4], 0, 4)}, bytes(4)),
        "unsupported": b"F" + safetensors({"a": tensor("F8_E4M3", [4], 0, 4)}, bytes(4)),
        "long-header": b"F" + struct.pack("<Q", 1 << 60) + b"{}",
        "index": b"I" + index + b"\0" + safetensors(good, bytes(14)),
        "index-outside": b"I" + index.replace(b"a.safe", b"../a.safe") + b"\0",
        "index-missing": b"I" + index.replace(b"a.safe", b"b.safe") + b"\0",
        "index-other": b"I" + index + b"\0" + safetensors(ints, bytes(12)),
    }
    for name, data in seeds.items():
        write("io_safetensors_fuzz", name, data)


def make_json():
    seeds = {
        "config": json.dumps({"model_type": "mixtral", "hidden_size": 64, "rms_norm_eps": 1e-5,
                              "sliding_window": None, "tie_word_embeddings": False,
                              "rope_parameters": {"rope_theta": 1e6}, "eos": [1, 2]}).encode(),
        "escapes": rb'{"a\u00e9\ud83d\ude00\n":"\\\"\/\b\f\r\t","b":[-0,0.5,-1E-3,18446744073709551615]}',
        "utf-8": '["ä€😀", "\ufeff"]'.encode(),
        "bom": b"\xef\xbb\xbf{}",
        "duplicate": b'{"a":1,"b":{"a":1,"a":2}}',
        "deep": b"[" * 64 + b"]" * 64,
        "too-deep": b'{"a":' * 65 + b"1" + b"}" * 65,
        "cut": b'{"a": [1, 2',
        "overflow": b"[1e999]",
        "surrogate": rb'["\ud800"]',
    }
    for name, data in seeds.items():
        write("io_json_fuzz", name, data)


def make_models():
    """A whole model of one layer: dim 4, 2 heads, 1 key-value head, 2 experts of 3, vocabulary 3; and a dense one."""
    def f32(name, *dims):
        count = 1
        for dim in dims:
            count *= dim
        return (name, list(dims), 0, struct.pack(f"<{count}f", *(0.25 * (i % 5 - 2) for i in range(count))))

    def keys(**changes):
        values = {"embedding_length": 4, "block_count": 1, "feed_forward_length": 3, "attention.head_count": 2,
                  "attention.head_count_kv": 1, "context_length": 8, "vocab_size": 3, **changes}
        return [("general.architecture", STRING, "llama")] + [(f"llama.{k}", U32, v) for k, v in values.items()]

    shared = [f32("token_embd.weight", 4, 3), f32("output_norm.weight", 4), f32("blk.0.attn_norm.weight", 4),
              f32("blk.0.ffn_norm.weight", 4), f32("blk.0.attn_q.weight", 4, 4), f32("blk.0.attn_k.weight", 4, 2),
              f32("blk.0.attn_v.weight", 4, 2), f32("blk.0.attn_output.weight", 4, 4)]
    dense = [f32("blk.0.ffn_gate.weight", 4, 3), f32("blk.0.ffn_up.weight", 4, 3), f32("blk.0.ffn_down.weight", 3, 4)]
    stacked = [f32("blk.0.ffn_gate_inp.weight", 4, 2), f32("blk.0.ffn_gate_exps.weight", 4, 3, 2),
               f32("blk.0.ffn_up_exps.weight", 4, 3, 2), f32("blk.0.ffn_down_exps.weight", 3, 4, 2)]
    apart = stacked[:1] + [f32(f"blk.0.ffn_{part}.{e}.weight", *dims) for e in (0, 1)
                           for part, dims in (("gate", (4, 3)), ("up", (4, 3)), ("down", (3, 4)))]
    experts = {"expert_count": 2, "expert_used_count": 1}
    write("model_gguf_fuzz", "dense", gguf(keys(), shared + dense))
    write("model_gguf_fuzz", "stacked", gguf(keys(**experts), shared + stacked))
    write("model_gguf_fuzz", "one-tensor-per-expert", gguf(keys(**experts), shared + apart))

    write("model_packed_fuzz", "mixture", packed(keys(**experts), shared + apart))
    write("model_packed_fuzz", "dense", packed(keys(), shared + dense))
    write("model_packed_fuzz", "tensors-missing", packed(keys(), shared))
    write("model_packed_fuzz", "file-cut", packed(keys(), shared + dense)[:-64])

    config = {"model_type": "mixtral", "hidden_act": "silu", "hidden_size": 8, "intermediate_size": 12,
              "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 3,
              "num_experts_per_tok": 2, "vocab_size": 16, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
              "head_dim": None, "sliding_window": 4096, "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}
    params = {"dim": 8, "n_layers": 1, "hidden_dim": 12, "n_heads": 2, "n_kv_heads": 1, "norm_eps": 1e-5, "vocab_size": 16,
              "_sliding_window": [8, 8], "moe": {"num_experts": 3, "num_experts_per_tok": 2}}
    write("model_config_fuzz", "hugging-face", json.dumps(config).encode())
    write("model_config_fuzz", "mistral", json.dumps(params).encode())


def make_adapters():
    """Adapters of rank 2 for the harness's models of dim 4, 2 heads of 2, 1 key-value head, hidden_dim 3, vocabulary 5."""
    shapes = {"q_proj": (4, 4), "k_proj": (2, 4), "v_proj": (2, 4), "o_proj": (4, 4), "w1": (3, 4), "w2": (4, 3), "w3": (3, 4),
              "gate_proj": (3, 4), "up_proj": (3, 4), "down_proj": (4, 3), "lm_head": (5, 4)}
    mistral = {"q_proj": "wq", "k_proj": "wk", "v_proj": "wv", "o_proj": "wo", "gate_proj": "w1", "up_proj": "w3",
               "down_proj": "w2", "lm_head": "output"}
    attention = [f"model.layers.{layer}.self_attn.{part}" for layer in (0, 1) for part in ("q_proj", "k_proj", "v_proj", "o_proj")]
    experts = [f"model.layers.1.block_sparse_moe.experts.{e}.{part}" for e in (0, 1) for part in ("w1", "w2", "w3")]
    mlp = [f"model.layers.0.mlp.{part}" for part in ("gate_proj", "up_proj", "down_proj")]
    peft = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "rank_pattern": {}, "init_lora_weights": True}
    params = {"dim": 4, "lora": {"enable": True, "rank": 2, "scaling": 2.0}}

    def name(module, is_peft):
        if is_peft:
            return "base_model.model." + module
        module = module.removeprefix("model.").replace("self_attn", "attention").replace("mlp", "feed_forward")
        parts = module.replace("block_sparse_moe", "feed_forward").split(".")
        return ".".join(parts[:-1] + [mistral.get(parts[-1], parts[-1])])

    def tensors(modules, is_peft, dtype="F32", value=0.5):
        code, size = {"F32": ("f", 4), "F16": ("e", 2)}[dtype]
        header, data = {}, b""
        for module in modules:
            rows, cols = shapes[module.split(".")[-1]]
            for side, shape in ("A", [2, cols]), ("B", [rows, 2]):
                count = shape[0] * shape[1]
                header[f"{name(module, is_peft)}.lora_{side}.weight"] = {
                    "dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size * count]}
                data += struct.pack(f"<{count}{code}", *[value] * count)
        return safetensors(header, data)

    def adapter(letter, settings, content):
        return letter + (json.dumps(settings).encode() if settings else b"") + b"\0" + content

    a_only = safetensors({"base_model.model.lm_head.lora_A.weight": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]}},
                         bytes(32))
    seeds = {
        "peft": adapter(b"P", peft, tensors(attention[:4] + experts + ["lm_head"], True)),
        "peft-dense-tied": adapter(b"p", {**peft, "use_rslora": True}, tensors(attention[4:] + mlp + ["lm_head"], True, "F16")),
        "mistral": adapter(b"M", params, tensors(attention[:2] + experts[:4] + ["lm_head"], False)),
        "mistral-dense": adapter(b"m", None, tensors(attention[4:] + mlp, False, "F16")),
        "one-expert": adapter(b"P", peft, tensors(experts[4:5], True)),
        "half-a-change": adapter(b"P", peft, a_only),
        "other-rank": adapter(b"P", {**peft, "r": 4096}, tensors(attention[:1], True)),
        "not-a-number": adapter(b"P", peft, tensors(attention[:1], True, value=float("nan"))),
        "scaling-beyond-floats": adapter(b"M", {"lora": {"scaling": 1e300}}, tensors(attention[:1], False)),
        "unknown-module": adapter(b"P", peft, tensors(attention[:1], True).replace(b"q_proj", b"g_proj")),
        "other-model": adapter(b"p", peft, tensors(experts, True)),
        "settings-missing": adapter(b"P", None, tensors(attention[:1], True)),
        "pissa": adapter(b"P", {**peft, "init_lora_weights": "pissa"}, tensors(attention[:1], True)),
        "no-tensors": adapter(b"M", params, safetensors({}, b"")),
    }
    for seed, data in seeds.items():
        write("model_adapter_fuzz", seed, data)


def make_grammars():
    schema = {"$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer", "minimum": -3, "maximum": 120},
                                                              "n": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}},
                              "required": ["n"], "additionalProperties": False}},
              "type": "object", "properties": {"a": {"type": "string", "minLength": 1, "maxLength": 9}, "b": {"$ref": "#/$defs/n"},
                                               "c": {"type": "array", "prefixItems": [{"const": "x"}], "items": {"type": "number"},
                                                     "maxItems": 4}, "d": {"enum": [1, "two", None, {"k": []}]},
                                               "e": {"type": "string", "pattern": "^[a-f]+|x$"},
                                               "f": {"type": "number", "exclusiveMinimum": -0.25, "maximum": 12.5}},
              "required": ["a", "d"], "additionalProperties": {"type": "boolean"}}
    seeds = {
        "schema": "J" + json.dumps(schema),
        "schema-one-of": 'J{"oneOf":[{"type":"string","format":"date-time"},{"type":["integer","null"]}]}',
        "schema-refused": 'J{"not":{}}',
        "schema-deep": 'J' + '{"items":' * 70 + "{}" + "}" * 70,
        "regex": r"R^(?:[A-Z]\w{2,5}|\d+(\.\d{1,2})?|[^\s\u00e9-\u00ff]*)$",
        "regex-nested-repeats": "R((a*b?){3}c{0,20}){2,}",
        "regex-refused": r"R(?=a)\1",
        "gbnf": 'Groot ::= item ("," item)* # list\nitem ::= [0-9]{1,3} | "(" root ")" | "\\x41\\n"',
        "gbnf-left": 'Groot ::= root "a" | "b"',
        "gbnf-nothing": 'Groot ::= a a "x"\na ::= b b\nb ::= c c\nc ::= ""',
        "gbnf-optional": "Groot ::=" + " [ab]?" * 300,
        "choice": "Cyes\nno\nnone\nmaybe",
    }
    for name, text in seeds.items():
        write("grammar_source_fuzz", name, text.encode())


if __name__ == "__main__":
    make_grammars()
    make_gguf()
    make_safetensors()
    make_json()
    make_models()
    make_adapters()
