#!/usr/bin/env python3
"""Random answers of random JSON Schemas, checked by Python's jsonschema.

    validate_samples.py PROGRAM [N_SCHEMAS [SEED]]

PROGRAM is grammar_samples. Without jsonschema the test is skipped, in the words of GoogleTest."""

import json
import pathlib
import random
import re
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("Skipped\nPython's jsonschema is not installed (pip install jsonschema)\n\n[  SKIPPED ]")
    sys.exit(0)

TOKENIZER = pathlib.Path(__file__).parents[2] / "golden/data/tokenizer/tokenizer.model"
SAMPLES = 4
NAMES = ["a", "name", "Größe", "x y", "tag\"s", "id", "value", "next", "is_ok", "/~"]
PATTERNS = ["^[a-z]{2,5}$", "^(foo|bar)+$", "b", "^\\d{3}-\\d{4}$", "^[^\"\\\\]{1,4}$", "x|^y", "^\\S+@\\S+$", "^.{2,6}$",
            "^[\\w.-]+$", "\\t", "^(?:[A-F0-9]{2}:){2}[A-F0-9]{2}$", "^é+.?$", "[\"\\\\]$"]
FORMATS = ["date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "hostname", "duration", "uri"]


class Schemas:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, share):
        return self.random.random() < share

    def number(self, integer):
        schema = {"type": "integer" if integer else "number"}
        scale = self.random.choice([1, 10, 1000, 10**6])
        digits = 0 if integer else self.random.choice([0, 1, 2, 4])
        low, high = sorted(round(self.random.uniform(-scale, scale), digits) for _ in range(2))
        high += 2
        if integer:
            low, high = int(low), int(high)
        if self.some(0.6):
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.some(0.6):
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = high
        return schema

    def string(self):
        kind = self.random.randrange(5)
        if kind == 0:
            return {"type": "string", "pattern": self.random.choice(PATTERNS)}
        if kind == 1:
            return {"type": "string", "format": self.random.choice(FORMATS)}
        schema = {"type": "string"}
        low = self.random.choice([0, 1, 3, 20])
        if self.some(0.5):
            schema["minLength"] = low
        if self.some(0.5):
            schema["maxLength"] = low + self.random.choice([0, 1, 5, 50])
        return schema

    def values(self):
        values = [None, True, 0, -3, 2.5, "", "red", "grün", "a\"b\\c\n", {"k": [1, {}]}, []]
        chosen = self.random.sample(values, self.random.randint(1, 4))
        return {"const": chosen[0]} if self.some(0.3) else {"enum": chosen}

    def array(self, depth):
        schema = {"type": "array"}
        if self.some(0.3):
            schema["prefixItems"] = [self.any(depth - 1) for _ in range(self.random.randint(1, 3))]
        if self.some(0.8):
            schema["items"] = False if "prefixItems" in schema and self.some(0.4) else self.any(depth - 1)
        low = self.random.randint(0, 3)
        fixed = len(schema.get("prefixItems", [])) if schema.get("items") is False else None
        if self.some(0.5):
            schema["minItems"] = low if fixed is None else min(low, fixed)
        if self.some(0.5):
            schema["maxItems"] = low + self.random.randint(0, 3)
        return schema

    def object(self, depth):
        names = self.random.sample(NAMES, self.random.randint(0, 5))
        schema = {"type": "object", "properties": {name: self.any(depth - 1) for name in names}}
        if self.some(0.8):
            schema["required"] = [name for name in names if self.some(0.6)]
        kind = self.random.randrange(4)
        if kind == 0:
            schema["additionalProperties"] = self.any(depth - 1)
        elif kind > 1:
            schema["additionalProperties"] = False
        return schema

    def any(self, depth):
        if depth <= 0 or self.some(0.35):
            kind = self.random.randrange(6)
            return [lambda: self.number(True), lambda: self.number(False), self.string, self.values,
                    lambda: {"type": self.random.choice(["boolean", "null"])}, self.string][kind]()
        kind = self.random.randrange(10)
        if kind < 4:
            return self.object(depth)
        if kind < 7:
            return self.array(depth)
        if kind == 7:
            return {"anyOf": [self.any(depth - 1) for _ in range(self.random.randint(1, 3))], "title": "T"}
        if kind == 8:
            return {"oneOf": [self.object(depth - 1), self.string(), {"type": "null"}]}
        return {"$ref": "#/$defs/D" + self.random.choice("01")}

    def document(self):
        schema = self.object(3) if self.some(0.8) else self.any(3)
        # Definitions that refer to themselves, but need not.
        tree = {"type": "object", "properties": {"v": self.any(1), "t": {"anyOf": [{"$ref": "#/$defs/D0"}, {"type": "null"}]}},
                "required": ["t"], "additionalProperties": False}
        listing = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/D1"}, self.number(True)]}, "maxItems": 3}
        return {**schema, "$defs": {"D0": tree, "D1": listing}}


def run(program, requests):
    text = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([program, str(TOKENIZER)], input=text.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def white_space_is_bounded(text):
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    return all(len(run) <= 2 + 2 * 32 for run in re.findall(r"[ \t\n\r]+", outside))


def check_schemas(program, n_schemas, seed):
    schemas = [Schemas(seed + i).document() for i in range(n_schemas)]
    requests = [{"kind": "json_schema", "source": json.dumps(schema, ensure_ascii=i % 2 == 0), "n": SAMPLES}
                for i, schema in enumerate(schemas)]
    n_valid = n_incomplete = n_refused = n_bad = 0
    refusals = {}
    for schema, reply in zip(schemas, run(program, requests)):
        if "error" in reply:
            n_refused += 1
            kind = reply["error"].split("/")[-1]
            refusals[kind] = refusals.get(kind, 0) + 1
            if "FAULT" in reply["error"]:
                n_bad += 1
                print("FAULT:", reply["error"], json.dumps(schema))
            continue
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        n_incomplete += reply["incomplete"]
        for sample in reply["samples"]:
            error = jsonschema.exceptions.best_match(validator.iter_errors(json.loads(sample)))
            if error is None and white_space_is_bounded(sample):
                n_valid += 1
                continue
            n_bad += 1
            print("INVALID:", json.dumps(schema), "\n ", sample, "\n ", error and error.message)
    print(f"{n_schemas} schemas, {n_refused} refused; samples: {n_valid} valid, {n_bad} bad, {n_incomplete} cut off by length")
    for kind, count in sorted(refusals.items(), key=lambda item: -item[1])[:5]:
        print(f"  refused {count}: {kind}")
    enough = n_refused <= n_schemas // 5 and n_incomplete <= n_valid // 5
    return n_bad == 0 and enough


def check_objects_and_patterns(program):
    patterns = PATTERNS[:2] + ["(a|b)*c{2,4}", "\\d+\\.\\d+", "[^\\W_]{3}"]
    requests = [{"kind": "json_object", "source": "", "n": 40}]
    requests += [{"kind": "regex", "source": pattern, "n": 10} for pattern in patterns]
    replies = run(program, requests)
    good = all(isinstance(json.loads(sample), dict) for sample in replies[0]["samples"]) and len(replies[0]["samples"]) >= 30
    for pattern, reply in zip(patterns, replies[1:]):
        good = good and "samples" in reply and all(re.fullmatch(pattern, sample) for sample in reply["samples"])
    if not good:
        print("INVALID:", replies)
    return good


def main():
    program = sys.argv[1]
    n_schemas = int(sys.argv[2]) if len(sys.argv) > 2 else 400
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    good = check_schemas(program, n_schemas, seed)
    return 0 if check_objects_and_patterns(program) and good else 1


if __name__ == "__main__":
    sys.exit(main())
