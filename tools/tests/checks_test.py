#!/usr/bin/env python3
"""Shows each checker something good and something bad: a check that cannot fail checks nothing."""

import contextlib
import io
import pathlib
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOOLS))

import check_isa  # noqa: E402
import check_rules  # noqa: E402
import repository  # noqa: E402
import run_ctest  # noqa: E402

GOOD_HEADER = "// A header.\n#pragma once\n"
CMAKE = "mixtral_folder(core)\nmixtral_folder(io core quant)\n"


class CheckersTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        subprocess.run(["git", "init", "--quiet", self.root], check=True, stderr=subprocess.DEVNULL)
        self.write("src/CMakeLists.txt", CMAKE)
        self.write("src/core/result.h", GOOD_HEADER)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run_check(self, name, *options):
        return subprocess.run([sys.executable, TOOLS / name, self.root, *options], capture_output=True, text=True)

    def assert_good(self, name, *options):
        result = self.run_check(name, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)

    def assert_bad(self, name, expected, *options):
        result = self.run_check(name, *options)
        self.assertEqual((result.returncode, result.stderr), (1, ""), result.stdout)
        self.assertIn(expected, result.stdout)

    def test_layers(self):
        self.write("src/io/a.cpp", '#include <vector>\n#include "core/result.h"\n// #include "engine/engine.h"\n')
        self.assert_good("check_layers.py")

    def test_layers_upward_include(self):
        self.write("src/io/a.h", GOOD_HEADER)
        self.write("src/core/a.cpp", '\n#include "io/a.h"\n')
        self.assert_bad("check_layers.py", "src/core/a.cpp:2: core/ must not include")

    def test_layers_path_not_from_src(self):
        self.write("src/core/a.cpp", '#include "result.h"\n')
        self.assert_bad("check_layers.py", "src/core/a.cpp:1: no file src/result.h")

    def test_layers_angle_brackets(self):
        self.write("src/core/a.cpp", "#include <core/result.h>\n")
        self.assert_bad("check_layers.py", "src/core/a.cpp:1: <core/result.h> is ours")

    def test_layers_unknown_folder(self):
        self.write("src/extra/a.h", GOOD_HEADER)
        self.assert_bad("check_layers.py", "src/extra is no folder of the layer rule")

    def test_layers_cmake_differs(self):
        self.write("src/CMakeLists.txt", CMAKE + "mixtral_folder(core io)\n")
        self.assert_bad("check_layers.py", "src/CMakeLists.txt:3: differs from the layer rule")

    def test_size(self):
        self.write("src/core/a.cpp", "\n" * 600)
        self.assert_good("check_size.py")

    def test_size_long_file(self):
        self.write("src/core/a.cpp", "\n" * 601)
        self.assert_bad("check_size.py", "src/core/a.cpp:601: 601 lines")

    def test_size_long_model(self):
        for part in range(4):
            self.write(f"src/model/{part}.cpp", "\n" * 501)
        self.assert_bad("check_size.py", "src/model:1: 2004 lines in all")

    def test_size_large_file(self):
        self.write("data.bin", "x" * ((2 << 20) + 1))
        self.assert_bad("check_size.py", "data.bin:1: 2097153 bytes")

    def test_rules(self):
        self.write(
            "src/core/a.h",
            GOOD_HEADER + '// printf( and getenv( in words\nconst char* const kText = "std::cout";\nvoid on_exit_(int);\n',
        )
        self.write("src/core/check.cpp", "void f() { std::fprintf(stderr, nullptr); std::abort(); }\n")
        self.assert_good("check_rules.py")

    def test_rules_forbidden_calls(self):
        calls = ["getenv(x);", "std::cout << x;", "printf(x);", "fmt::print(x);", "std::fprintf(f, x);", "std::exit(1);"]
        calls += ["std::abort();", "std::stoi(x);", "atoi(x);", "strtoul(x);", "using namespace std;", "#include <iostream>"]
        for call in calls:
            with self.subTest(call):
                self.write("src/core/a.cpp", f"\n{call}\n")
                self.assert_bad("check_rules.py", "src/core/a.cpp:2: ")

    def test_rules_every_pattern_was_seen(self):
        self.assertEqual(len(check_rules.FORBIDDEN), 8, "a new pattern wants a case in test_rules_forbidden_calls")

    def test_rules_macro(self):
        self.write("src/core/a.cpp", "#define MIXTRAL_CHECK(c, w)\n#define MAX_SIZE 3\n")
        self.assert_bad("check_rules.py", "src/core/a.cpp:2: macro MAX_SIZE")

    def test_rules_pragma_once(self):
        self.write("src/core/a.h", "#ifndef A_H\n#endif\n")
        self.assert_bad("check_rules.py", "src/core/a.h:1: a header starts with #pragma once")

    def test_rules_loose_end(self):
        self.write("docs/a.md", "Good.\nTODO: more.\n")
        self.assert_bad("check_rules.py", "docs/a.md:2: TODO")

    def test_docs(self):
        self.write(
            "README.md",
            "# A page\n[a](docs/a.md#the-first-part) [b](#a-page) [c](https://example.org/x)\n"
            "`src/core/*.h` `./run.sh -- ARGS` `docs/NNNN.md` `and/or`\n",
        )
        self.write("docs/a.md", "## The first part\n")
        self.assert_good("check_docs.py")

    def test_docs_dead_link(self):
        self.write("README.md", "\n[a](docs/a.md)\n")
        self.assert_bad("check_docs.py", "README.md:2: dead link docs/a.md")

    def test_docs_dead_heading(self):
        self.write("README.md", "# One\n[a](#two)\n")
        self.assert_bad("check_docs.py", "README.md:2: dead link #two")

    def test_docs_dead_path(self):
        self.write("README.md", "See `src/core/nothing.h`.\n")
        self.assert_bad("check_docs.py", "README.md:1: dead path src/core/nothing.h")

    def test_docs_flags(self):
        program = self.root / "program"
        program.write_text(
            "#!/bin/sh\ncase $1 in\n--help) printf 'Options:\\n  --version\\n\\nSubcommands:\\n  chat   Talk\\n' ;;\n"
            "chat) echo '  --seed' ;;\nesac\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.write("docs/cli.md", "`--version`\n`mixtral chat --seed 1`\n")
        self.assert_good("check_docs.py", "--program", program)
        self.write("docs/cli.md", "`--version`\n`mixtral chat --sead 1`\n")
        self.assert_bad("check_docs.py", "docs/cli.md:2: --sead is no flag", "--program", program)

    def compile(self, name, text):
        self.write("a.cpp", text)
        folder = self.root / "build/src/CMakeFiles/mixtral_cpu.dir" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["c++", "-O1", "-c", self.root / "a.cpp", "-o", folder], check=True)

    def run_check_isa(self):
        command = [sys.executable, TOOLS / "check_isa.py", self.root / "build"]
        return subprocess.run(command, capture_output=True, text=True)

    @unittest.skipUnless(shutil.which("c++") and platform.machine() == "x86_64", "needs a compiler for x86-64")
    def test_isa(self):
        vectors = "typedef float V __attribute__((vector_size(32)));\n"
        wide = vectors + '__attribute__((target("avx2"))) {0} void f(float* x) {{ *(V*)x += *(V*)(x + 8); }}\n'
        use = "void (*pointer)(float*) = f;\n"
        self.compile("cpu/kernels/table_avx2.cpp.o", wide.format("") + use)
        self.compile("cpu/plain.cpp.o", "void g(float* x) { x[0] += 1; }\n")
        result = self.run_check_isa()
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.compile("cpu/kernels/table_avx2.cpp.o", wide.format("inline") + use)
        self.assertIn("weak symbol _Z1fPf uses wide registers", self.run_check_isa().stdout)
        self.compile("cpu/plain.cpp.o", wide.format(""))
        result = self.run_check_isa()
        self.assertIn("plain.cpp.o:1: _Z1fPf uses registers of avx2: such code belongs", result.stdout)
        self.assertEqual(result.returncode, 1)
        self.compile("cpu/plain.cpp.o", "")
        self.compile("cpu/kernels/table_avx2.cpp.o", "")
        tiles = 'void f(void) { __asm__("tilerelease"); __asm__("tilezero %tmm1"); }\n'
        self.compile("cpu/kernels/table_amx.cpp.o", tiles)
        self.assertEqual(self.run_check_isa().returncode, 0)
        self.compile("cpu/kernels/table_avx2_twice.cpp.o", wide.format("") + use)
        self.assertEqual(self.run_check_isa().returncode, 0)
        self.compile("cpu/kernels/table_avx512.cpp.o", tiles)
        self.assertIn("table_avx512.cpp.o:1: _Z1fv uses registers of amx", self.run_check_isa().stdout)

    def test_format(self):
        with contextlib.suppress(FileNotFoundError):  # clang-format itself is check.sh's business
            result = subprocess.run(
                ["clang-format-14", "--dry-run", "-Werror", f"--style=file:{TOOLS.parent}/.clang-format"],
                input="int  x ;\n", capture_output=True, text=True,
            )  # fmt: skip
            self.assertNotEqual(result.returncode, 0)


class PartsTest(unittest.TestCase):
    def test_code_only_keeps_lines_and_blanks_text(self):
        text = 'f("a // b");  // c\n/* d\n e */ g(\'"\');\nR"(h\n)" i;\n#include "j.h"  // k'
        lines = repository.code_only(text)
        self.assertEqual([line.split() for line in lines[:1]], [["f(", ");"]])
        self.assertEqual([line.strip() for line in lines[1:5]], ["", "g(   );", "", "i;"])
        self.assertTrue(lines[5].startswith('#include "j.h"'))

    def test_code_only_leaves_digit_separators(self):
        self.assertEqual(repository.code_only("int x = 1'000'000; f();"), ["int x = 1'000'000; f();"])

    def test_wide_functions(self):
        listing = "0000 <_Z1av>:\n  mov %xmm0,%xmm1\n0010 <_Z1bv>:\n  vaddps %ymm0,%ymm1,%ymm2\n  tdpbssd %tmm0,%tmm1,%tmm2\n"
        self.assertEqual(check_isa.wide_functions(listing), {"_Z1bv": "amx"})
        registers = {"%ymm15": "avx2", "%ymm16": "avx512", "%xmm31": "avx512", "%zmm0": "avx512", "%k1": "avx512", "%tmm7": "amx"}
        for register, isa in registers.items():
            self.assertEqual(check_isa.wide_functions(f"0000 <f>:\n  op {register},{register}\n"), {"f": isa})

    def test_weak_symbols(self):
        self.assertEqual(check_isa.weak_symbols("0000 W _Z1av\n0010 T _Z1bv\n     U _Z1cv\n"), {"_Z1av"})

    def report(self, cases):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = run_ctest.report(cases)
        return code, output.getvalue().rstrip().split("\n")

    def test_report(self):
        skip = "a_test.cpp:1: Skipped\nno golden data x\n\n[  SKIPPED ] A.B (0 ms)\n"
        code, lines = self.report([("A.A", "pass", ""), ("A.B", "skip", skip)])
        self.assertEqual((code, lines), (0, ["skipped: no golden data x: A.B (1)", "1 passed, 0 failed, 1 skipped"]))

    def test_report_failure(self):
        code, lines = self.report([("A.A", "pass", ""), ("A.B", "fail", "Expected: 1")])
        self.assertEqual(code, 1)
        self.assertEqual(lines[-2:], ["failed: A.B", "1 passed, 1 failed, 0 skipped"])
        self.assertIn("FAILED A.B: Expected: 1", lines)

    def test_report_nothing_ran(self):
        self.assertEqual(self.report([])[0], 1)
        self.assertEqual(self.report([("A.B", "skip", "")])[0], 1)


if __name__ == "__main__":
    unittest.main()
