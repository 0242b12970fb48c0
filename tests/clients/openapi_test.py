#!/usr/bin/env python3
"""The server keeps what /openapi.json says: requests made from it, right ones and wrong ones, and their answers.

Usage: PROGRAM [unittest arguments].
"""

import json
import pathlib
import subprocess
import sys
import unittest

from server import WORK, Server

CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance,"
          "negative_data_rejection,unsupported_method,allow_header_conformance")


def without_all_of(document):
    """The same, with what a form shares with others among its own properties: wrong values are made of those alone."""
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        for part in schema.pop("allOf", []):
            shared = schemas[part["$ref"].rsplit("/", 1)[1]]
            schema["properties"] = {**shared["properties"], **schema["properties"]}
    return document


class Description(unittest.TestCase):
    def test_answers_are_as_described(self):
        with Server("--tool-emulation", context=128) as server:
            program = pathlib.Path(sys.executable).parent / "schemathesis"
            file = WORK / "openapi.json"
            file.write_text(json.dumps(without_all_of(server.get("/openapi.json")[1])))
            arguments = ["run", file, "--url", server.url, "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
                         "--seed", "1", "--max-examples", "25", "--continue-on-failure", "--request-timeout", "30",
                         "--generation-database", "none", "--no-color", "--warnings", "off"]
            result = subprocess.run([program, *arguments], cwd=WORK, capture_output=True, text=True, timeout=300)
            self.assertEqual(result.returncode, 0, result.stdout[-20000:] + result.stderr)
            self.assertEqual(server.close(), 0)


if __name__ == "__main__":
    unittest.main()
