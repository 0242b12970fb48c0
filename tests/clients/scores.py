"""Log-probabilities of texts that no server had a part in: `mixtral logits` and arithmetic."""

import json
import math
import struct
import subprocess

from server import MODEL, PROGRAM, WORK


def log_probabilities(ids):
    """Of each of the ids but the first, after those before it: computed by `mixtral logits` and by hand."""
    out = WORK / "logits.safetensors"
    subprocess.run([PROGRAM, "logits", "-m", MODEL, "-q", "--ids", ",".join(map(str, ids)), "-o", str(out)], check=True)
    data = out.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    tensor = json.loads(data[8:8 + size])["logits"]
    begin = 8 + size + tensor["data_offsets"][0]
    n_rows, vocabulary = tensor["shape"]
    rows = [struct.unpack_from(f"<{vocabulary}f", data, begin + row * vocabulary * 4) for row in range(n_rows)]
    log_sum = lambda row: max(row) + math.log(math.fsum(math.exp(x - max(row)) for x in row))
    return [rows[i][ids[i + 1]] - log_sum(rows[i]) for i in range(len(ids) - 1)]
