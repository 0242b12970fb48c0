#!/usr/bin/env python3
"""The program as its users meet it: exit codes, what goes to which stream, help, bad files.

Usage: PROGRAM [unittest arguments].
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time
import unittest

from program import MODEL, PROGRAM, WORK, Case, golden, run

COMMANDS = ["chat", "generate", "info", "tokenize", "detokenize", "logits", "convert", "pack", "upcycle", "make-model", "bench"]


class Usage(Case):
    def test_version(self):
        self.assertRegex(self.good("--version").stdout.decode(), r"^mixtral \d+\.\d+\.\d+\n$")

    def test_help_lists_every_command_and_teaches(self):
        text = self.good("--help").stdout.decode()
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", text)
        self.assertIn("Examples:", text)
        self.assertIn("Exit codes:", text)

    def test_every_command_has_help_with_an_example(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.assertIn(f"mixtral {command}", self.good(command, "--help").stdout.decode())

    def test_wrong_usage_is_exit_2_in_one_line(self):
        self.refused()
        self.refused("no-such-command", names=["no-such-command"])
        self.refused("--no-such-option", names=["--no-such-option"])
        self.refused("generate", "--no-such-option")
        self.refused("generate", "-m", MODEL, "--ids", "1", "--temperature", "warm", names=["temperature"])
        self.refused("generate", "-m", MODEL, "--ids", "1", "--isa", "neon", names=["--isa"])
        self.refused("generate", "-m", MODEL, "--ids", "1", "--threads", "0")
        self.refused("generate", "-m", MODEL, "--ids", "1", "--file", "x")
        self.refused("logits", "-m", MODEL, "--ids", "1", names=["--out"])

    def test_help_is_also_a_word(self):
        self.assertEqual(self.good("help").stdout, self.good("--help").stdout)
        self.assertEqual(self.good("help", "generate").stdout, self.good("generate", "--help").stdout)

    def test_wrong_options_are_found_before_the_model_is(self):
        for options in (["--chat-template", "foo", "x"], ["--ids", "1,x"], ["--ids-file", str(WORK / "none.json")],
                        ["--file", str(WORK / "none.txt")], ["--top-p", "2", "x"], ["--logit-bias", "x", "x"]):
            self.assertNotIn("no-model", self.refused("generate", "-m", "no-model", *options))
        self.assertNotIn("no-model", self.refused("logits", "-m", "no-model", "--ids", "1", "-o", str(WORK / "none/x")))
        self.assertNotIn("no-model", self.refused("logits", "-m", "no-model", "--ids", "1", "-o", str(WORK)))

    def test_an_empty_name_is_no_name(self):
        self.refused("generate", "-m", "", "--ids", "1", names=["--model"])
        self.refused("logits", "-m", MODEL, "--ids", "1", "-o", "", names=["--out"])

    def test_options_that_would_do_nothing_are_refused(self):
        for options in (["--raw", "x", "--system", "y"], ["--raw", "x", "--chat-template", "mistral"],
                        ["--ids", "1", "--system", "y"], ["--ids", "1", "--chat-template", "mistral"]):
            self.refused("generate", "-m", MODEL, *options, names=[options[-2], "excludes"])
        self.refused("generate", "-m", golden("models/mixtral-tiny-f32"), "--ids", "1", "--stop", "x", names=["no tokenizer"])

    def test_missing_default_model_says_how_to_get_one(self):
        error = self.refused("generate", "hello", XDG_CACHE_HOME=str(WORK / "empty"))
        self.assertIn("./run.sh", error)
        self.assertIn("-m FILE", error)
        self.assertIn(str(WORK / "empty/mixtral/default.gguf"), error)

    def test_default_model_lies_in_the_cache(self):
        cache = WORK / "cache/mixtral"
        cache.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (cache / "default.gguf").symlink_to(MODEL)
        self.assertEqual(self.json_of("tokenize", "--json", stdin="", XDG_CACHE_HOME=str(WORK / "cache")), {"ids": []})

    def test_full_disk_is_a_failure(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "wb") as full:
            result = subprocess.run([PROGRAM, "--version"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"standard output", result.stderr)


class Generate(Case):
    def answer(self, *arguments, **options):
        return self.json_of("generate", "-m", MODEL, "--json", "-n", "8", *arguments, **options)

    def test_json_has_every_promised_field(self):
        answer = self.answer("--ids", "1,300,301", "--greedy")
        self.assertEqual(list(answer), ["prompt_ids", "ids", "text", "finish_reason", "timings"])
        self.assertEqual(answer["prompt_ids"], [1, 300, 301])
        self.assertIn(answer["finish_reason"], ["stop", "length"])
        self.assertIsInstance(answer["text"], str)
        self.assertEqual(answer["timings"]["prompt_tokens"], 3)
        self.assertEqual(answer["timings"]["generated_tokens"], len(answer["ids"]))

    def test_prompt_comes_from_anywhere(self):
        file = WORK / "prompt.txt"
        file.write_text("Once upon")
        ids_file = WORK / "ids.json"
        expected = self.answer("--raw", "Once upon", "--greedy")
        self.assertEqual(expected["prompt_ids"][0], 1)  # BOS
        for ids in expected["prompt_ids"], {"ids": expected["prompt_ids"]}:
            ids_file.write_text(json.dumps(ids))
            self.assertEqual(self.answer("--ids-file", str(ids_file), "--greedy")["ids"], expected["ids"])
        self.assertEqual(self.answer("--raw", "--file", str(file), "--greedy")["ids"], expected["ids"])
        self.assertEqual(self.answer("--raw", "--greedy", stdin="Once upon")["ids"], expected["ids"])

    def test_options_of_one_value_leave_the_prompt_alone(self):
        expected = self.answer("--raw", "Once", "--greedy")["prompt_ids"]
        self.assertEqual(self.answer("--raw", "--greedy", "--stop", "zzz", "Once")["prompt_ids"], expected)
        self.assertEqual(self.answer("--raw", "--greedy", "--logit-bias", "3=-1", "Once")["prompt_ids"], expected)

    def test_prompt_through_a_pipe(self):
        fifo = WORK / "fifo"
        os.mkfifo(fifo)
        writer = subprocess.Popen(["sh", "-c", f"printf 'Once upon' > {fifo}"])
        piped = self.answer("--raw", "--file", str(fifo), "--greedy")
        self.assertEqual(writer.wait(), 0)
        self.assertEqual(piped["prompt_ids"], self.answer("--raw", "Once upon", "--greedy")["prompt_ids"])

    def test_a_model_without_template_says_that_it_continues(self):
        self.assertIn("continued as it is", self.good("generate", "-m", MODEL, "Once", "-n", "2").stderr.decode())
        self.assertNotIn("continued", self.good("generate", "-m", MODEL, "--raw", "Once", "-n", "2").stderr.decode())

    def test_text_streams_to_standard_output_and_figures_to_standard_error(self):
        result = self.good("generate", "-m", MODEL, "--raw", "Once", "--greedy", "-n", "8")
        self.assertEqual(result.stdout.decode(), self.answer("--raw", "Once", "--greedy")["text"] + "\n")
        self.assertIn("tokens/s", result.stderr.decode())

    def test_quiet_says_nothing_else(self):
        self.assertEqual(self.good("generate", "-m", MODEL, "--raw", "Once", "-n", "3", "-q").stderr, b"")

    def test_same_seed_same_answer_whatever_the_threads(self):
        first = self.answer("--raw", "Once", "--temperature", "1", "--seed", "5", "--threads", "1")["ids"]
        self.assertEqual(self.answer("--raw", "Once", "--temperature", "1", "--seed", "5", "--threads", "3")["ids"], first)
        self.assertNotEqual(self.answer("--raw", "Once", "--temperature", "1", "--seed", "6")["ids"], first)

    def test_speculation_leaves_the_answer_as_it_is(self):
        common = ["generate", "-m", MODEL, "--json", "--ids", "1,300,301,302,300,301,302,300,301", "-n", "40"]
        expected = self.json_of(*common, "--speculate", "none")["ids"]
        self.assertEqual(self.json_of(*common, "--speculate", "ngram")["ids"], expected)
        self.assertEqual(self.json_of(*common, "--draft", MODEL)["ids"], expected)
        self.refused("generate", "-m", MODEL, "--draft", MODEL, "--speculate", "none", "Hi", names=["--draft"])
        self.refused("generate", "-m", MODEL, "--draft", "/nowhere/small.gguf", "Hi", names=["/nowhere/small.gguf"])

    def test_logprobs(self):
        answer = self.answer("--ids", "1,300", "--greedy", "--logprobs", "3")
        self.assertEqual(len(answer["logprobs"]), len(answer["ids"]))
        for id, entry in zip(answer["ids"], answer["logprobs"]):
            self.assertEqual(entry["id"], id)
            self.assertEqual(entry["top"][0]["id"], id)  # greedy
            self.assertEqual(entry["top"][0]["logprob"], entry["logprob"])
            self.assertEqual(len(entry["top"]), 3)
            self.assertLess(entry["logprob"], 0)
        self.refused("generate", "-m", MODEL, "--ids", "1", "--logprobs", "3", names=["--json"])

    def test_logit_bias_forces_a_token(self):
        self.assertEqual(self.answer("--ids", "1", "--greedy", "--logit-bias", "300=500")["ids"], [300] * 8)
        self.refused("generate", "-m", MODEL, "--ids", "1", "--logit-bias", "x", names=["--logit-bias", "ID=B"])

    def test_stop_string_ends_the_text(self):
        letter = self.json_of("tokenize", "-m", MODEL, "--json", stdin="x")["ids"][-1]
        forced = ["--ids", "1", "--greedy", "--logit-bias", f"{letter}=500"]
        text = self.answer(*forced)["text"]
        answer = self.answer(*forced, "--stop", text[2:5])
        self.assertEqual(answer["text"], text[:text.index(text[2:5])])
        self.assertEqual(answer["finish_reason"], "stop")
        self.refused("generate", "-m", MODEL, "--ids", "1", "--stop", "", names=["stop"])

    def test_wrong_ids_are_named(self):
        self.refused("generate", "-m", MODEL, "--ids", "1,99999", names=["99999", "position 1", "vocabulary of"])
        self.refused("generate", "-m", MODEL, "--ids=-4", names=["-4"])
        self.refused("generate", "-m", MODEL, "--ids", "1,two", names=["two"])
        self.refused("generate", "-m", MODEL, "--ids", " ", names=["no token ids"])
        for text, name in ("{}", "ids"), ("[1, 2.5]", "2.5"), ("[1", "ids.json"), ("[]", "no token ids"), ('"a"', "string"):
            (WORK / "ids.json").write_text(text)
            self.refused("generate", "-m", MODEL, "--ids-file", str(WORK / "ids.json"), names=[name])

    def test_options_out_of_range_are_named(self):
        for option in ("--temperature=-1", "--temperature=inf", "--top-p=0", "--top-p=1.1", "--top-k=-3", "--seed=-1", "--max-tokens=0", "--max-tokens=99999999999999999999", "--logprobs=-1", "--context=0", "--top-p=nan", "--min-p=1", "--repetition-penalty=0", "--frequency-penalty=3", "--presence-penalty=-3"):
            self.refused("generate", "-m", MODEL, "--ids", "1", "--json", option, names=[option.split("=")[0]])

    def test_prompt_must_fit_the_context(self):
        self.refused("generate", "-m", MODEL, "--ids", "1,2,3,4", "--context", "4", names=["4 tokens", "less than the 4", "--context"])

    def test_longer_context_than_the_models_own_is_a_warning(self):
        result = self.good("generate", "-m", MODEL, "--ids", "1", "-n", "1", "--context", "100000")
        self.assertIn("warning: a context of 100000", result.stderr.decode())

    def test_too_large_a_context_is_refused_before_loading(self):
        error = self.refused("generate", "-m", MODEL, "--ids", "1", "--context", str(2**30))
        self.assertIn("shorter context", error)

    def test_unknown_template_names_the_choices(self):
        self.refused("generate", "-m", MODEL, "hi", "--chat-template", "alpaca", names=["alpaca", "mistral", "chatml", "llama-2"])

    def test_system_text_is_part_of_the_prompt(self):
        plain = self.answer("hi", "--chat-template", "mistral")["prompt_ids"]
        with_system = self.answer("hi", "--chat-template", "mistral", "--system", "Be brief.")["prompt_ids"]
        self.assertGreater(len(with_system), len(plain))

    def test_empty_prompt_is_a_prompt(self):
        self.assertEqual(self.answer("--raw", "", stdin="not this")["prompt_ids"], [1])
        self.refused("generate", "-m", MODEL, "--ids", "", names=["no token ids"])

    def test_folder_without_tokenizer_takes_ids_and_gives_ids(self):
        model = golden("models/mixtral-tiny-f32")
        answer = self.json_of("generate", "-m", model, "--ids", "1,5,9", "--greedy", "-n", "4", "--json", "--logprobs", "1")
        self.assertIsNone(answer["text"])
        self.assertIsNone(answer["logprobs"][0]["piece"])
        self.assertEqual(len(answer["ids"]), 4)
        text = self.good("generate", "-m", model, "--ids", "1,5,9", "--greedy", "-n", "4").stdout.decode()
        self.assertEqual([int(word) for word in text.split()], answer["ids"])
        self.refused("generate", "-m", model, "hello", names=["no tokenizer", "--ids"])


class Interrupt(Case):
    def interrupted(self, out, *arguments):
        """Ctrl-C while `out` is being written."""
        partial = WORK / (out + ".partial")
        process = subprocess.Popen([PROGRAM, *arguments, "-o", str(WORK / out)], stderr=subprocess.PIPE)
        end = time.monotonic() + 60
        while not partial.exists() and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGINT, error)
        self.assertIn(b"interrupted", error)
        self.assertNotIn(b"done", error)
        self.assertFalse(partial.exists())
        self.assertFalse((WORK / out).exists())

    def test_nothing_half_written_stays(self):
        self.interrupted("half.gguf", "make-model", "--layers", "4", "--type", "Q8_0")
        source = str(WORK / "whole.gguf")
        self.good("make-model", "--shape", "mistral-7b", "--layers", "1", "--vocab", "4000", "--type", "Q8_0", "-o", source)
        self.interrupted("half-folder", "convert", "-m", source)
        os.remove(source)


class Tokenize(Case):
    def ids(self, text, *arguments):
        return self.json_of("tokenize", "-m", MODEL, "--json", *arguments, stdin=text)["ids"]

    def test_every_byte_goes_there_and_back(self):
        for text in (b"Hello world", b"a\0b\0", b"\0", "naïve 🤗\n\n".encode(), b" two  spaces "):
            ids = self.ids(text)
            back = self.good("detokenize", "-m", MODEL, stdin=json.dumps(ids)).stdout
            self.assertEqual(back, text)
            as_json = self.json_of("detokenize", "-m", MODEL, "--json", "--ids=" + ",".join(map(str, ids)))
            self.assertEqual(as_json, {"text": text.decode()})

    def test_nul_is_no_end(self):
        self.assertGreater(len(self.ids(b"a\0b")), len(self.ids(b"a")))

    def test_empty_input_has_no_tokens(self):
        self.assertEqual(self.ids(b""), [])

    def test_bos_and_special_text_only_when_asked(self):
        self.assertEqual(self.ids("x", "--bos"), [1] + self.ids("x"))
        self.assertNotIn(2, self.ids("</s>"))
        self.assertIn(2, self.ids("</s>", "--special"))

    def test_lines_for_people(self):
        lines = self.good("tokenize", "-m", MODEL, stdin="x\n").stdout.decode().splitlines()
        self.assertEqual([int(line.split()[0]) for line in lines], self.ids("x\n"))

    def test_chat(self):
        file = WORK / "chat.json"
        file.write_text(json.dumps([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Sure", "prefix": True}]))
        chat = self.json_of("tokenize", "-m", MODEL, "--json", "--chat", str(file), "--chat-template", "mistral")
        self.assertEqual(list(chat), ["text", "ids"])
        self.assertEqual(chat["ids"][0], 1)
        self.assertIn("Hello", chat["text"])
        for content, name in (("{}", "list"), ("[1]", "message 0"), ('[{"role": "user"}]', "content"),
                              ('[{"role": "user", "content": 1}]', "content"), ('[{"role": "user", "content": "x", "prefix": 1}]', "prefix"),
                              ('[{"role": "wizard", "content": "x"}]', "wizard"), ("[", "chat.json")):
            file.write_text(content)
            self.refused("tokenize", "-m", MODEL, "--chat", str(file), "--chat-template", "mistral", names=[name])

    def test_unknown_template_names_the_choices(self):
        (WORK / "chat.json").write_text('[{"role": "user", "content": "Hello"}]')
        self.refused("tokenize", "-m", MODEL, "--chat", str(WORK / "chat.json"), "--chat-template", "x", names=["mistral", "chatml", "llama-2"])

    def test_detokenize_refuses_what_is_no_token(self):
        self.refused("detokenize", "-m", MODEL, "--ids", "99999", names=["99999"])
        self.refused("detokenize", "-m", MODEL, stdin="[1, null]", names=["null"])
        self.refused("detokenize", "-m", MODEL, stdin="one", names=["one"])

    def test_model_without_tokenizer_is_refused(self):
        self.refused("tokenize", "-m", golden("models/mixtral-tiny-f32"), names=["no tokenizer"])


class Info(Case):
    def test_json(self):
        info = self.json_of("info", "-m", golden("models/mixtral-tiny-f32"), "--json", "--tensors")
        self.assertEqual(info["architecture"], "mixtral")
        self.assertEqual(info["config"]["n_experts"], 8)
        self.assertEqual(info["config"]["dim"], 64)
        self.assertIsNone(info["tokenizer"])
        self.assertGreater(info["parameters"]["total"], info["parameters"]["active"])
        memory = info["memory"]
        self.assertEqual(memory["total"], memory["weights"] + memory["kv_cache"] + memory["scratch"])
        self.assertEqual(sum(tensor["bytes"] for tensor in info["tensors"]), sum(type["bytes"] for type in info["types"]))
        self.assertIn("w_gate", [kernel["role"] for kernel in info["kernels"]])

    def test_kernels_are_those_of_the_instruction_set(self):
        model = golden("gguf/mixtral-Q4_K_M.gguf")
        info = self.json_of("info", "-m", model, "--isa", "scalar", "--json")
        kernels = {kernel["role"]: (kernel["type"], kernel["kernel"]) for kernel in info["kernels"]}
        self.assertEqual(kernels["w_down"], ("Q6_K", "scalar int8, scale per 256"))
        self.assertEqual(kernels["wk"], ("Q8_0", "scalar int8, scale per 32"))
        self.assertEqual(kernels["output norm"], ("F32", "scalar f32"))
        exact = self.json_of("info", "-m", model, "--isa", "scalar", "--exact", "--json")
        self.assertEqual({kernel["kernel"] for kernel in exact["kernels"]}, {"scalar f32"})

    def test_kernels_are_notes_of_a_verbose_command(self):
        command = ("generate", "-m", golden("gguf/mixtral-Q4_K_M.gguf"), "--isa", "scalar", "--ids", "1", "-n", "1")
        notes = self.good(*command, "-v").stderr.decode().splitlines()
        self.assertIn("Q6_K w_down, output: scalar int8, scale per 256", notes)
        self.assertNotIn("w_down", self.good(*command).stderr.decode())

    def test_text(self):
        text = self.good("info", "-m", MODEL, "--tensors").stdout.decode()
        for word in ("Parameters", "experts", "Memory", "free here", "Kernels", "output_norm.weight"):
            self.assertIn(word, text)


class Logits(Case):
    def tensors(self, path):
        data = pathlib.Path(path).read_bytes()
        size, = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + size])
        return {name: (tensor["dtype"], tensor["shape"], data[8 + size:][slice(*tensor["data_offsets"])])
                for name, tensor in header.items() if name != "__metadata__"}

    def test_tensors_are_named_and_shaped_as_promised(self):
        out = WORK / "logits.safetensors"
        result = self.good("logits", "-m", golden("models/mixtral-tiny-f32"), "--ids", "1,2,3", "-o", str(out), "--hidden", "--router", "--exact")
        self.assertEqual(result.stdout, b"")
        tensors = self.tensors(out)
        self.assertEqual({name: tensor[1] for name, tensor in tensors.items()},
                         {"logits": [3, 1024], "hidden.0": [3, 64], "hidden.1": [3, 64], "hidden.2": [3, 64],
                          "router_logits.0": [3, 8], "router_logits.1": [3, 8]})
        self.assertEqual({tensor[0] for tensor in tensors.values()}, {"F32"})

    def test_logits_match_the_reference(self):
        model = golden("models/mixtral-tiny-f32")
        expected = self.tensors(model + "/golden.safetensors")
        ids = struct.unpack(f"<{expected['input_ids'][1][0]}{'q' if expected['input_ids'][0] == 'I64' else 'i'}", expected["input_ids"][2])
        for backend in "reference", "cpu":
            out = WORK / "golden.safetensors"
            self.good("logits", "-m", model, "--ids", ",".join(map(str, ids)), "-o", str(out), "--router", "--hidden", "--exact", "--backend", backend)
            for name, (_, shape, data) in self.tensors(out).items():
                count = shape[0] * shape[1]
                pairs = zip(struct.unpack(f"<{count}f", data), struct.unpack(f"<{count}f", expected[name][2]))
                self.assertLess(max(abs(a - b) for a, b in pairs), 2e-4, f"{backend} {name}")

    def test_adapters_change_what_they_name(self):
        def write(tensors):
            header, data = {}, b""
            for name, (shape, values) in tensors.items():
                header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
                data += struct.pack(f"<{len(values)}f", *values)
            text = json.dumps(header).encode()
            (folder / "lora.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)

        folder = WORK / "lora"
        folder.mkdir()
        # Token 7 gets the first two elements of the final hidden state, scaled by 2.
        b = [1.0 if row == 7 else 0.0 for row in range(1024)]
        write({"output.lora_A.weight": ([1, 64], [1.0, 1.0] + 62 * [0.0]), "output.lora_B.weight": ([1024, 1], b)})
        base, changed = WORK / "base.safetensors", WORK / "changed.safetensors"
        command = ["logits", "-m", golden("models/mixtral-tiny-f32"), "--ids", "1,2,3", "--hidden", "--exact", "-o"]
        self.good(*command, str(base))
        for path in folder, folder / "lora.safetensors":
            self.good(*command, str(changed), "--lora", str(path))
            before, after = (struct.unpack("<3072f", self.tensors(file)["logits"][2]) for file in (base, changed))
            hidden = struct.unpack("<192f", self.tensors(base)["hidden.2"][2])
            for at, (old, new) in enumerate(zip(before, after)):
                row, token = divmod(at, 1024)
                expected = old + 2 * (hidden[64 * row] + hidden[64 * row + 1]) if token == 7 else old
                self.assertAlmostEqual(new, expected, delta=1e-5 if token == 7 else 0)
        write({"tok_embeddings.lora_A.weight": ([1, 64], 64 * [0.0])})
        self.refused(*command, str(changed), "--lora", str(folder), names=["lora.safetensors", "tok_embeddings.lora_A.weight"])
        self.refused("generate", "-m", MODEL, "--ids", "1", "--lora", "no-adapter", names=["no-adapter"])

    def test_router_of_a_dense_model_is_refused(self):
        out = WORK / "dense.safetensors"
        self.refused("logits", "-m", golden("models/llama-tied-f32"), "--ids", "1", "-o", str(out), "--router", names=["--router", "dense"])
        self.assertFalse(out.exists())

    def test_text(self):
        (WORK / "text.txt").write_text("Hello")
        out = WORK / "text.safetensors"
        self.good("logits", "-m", MODEL, "--text", str(WORK / "text.txt"), "-o", str(out))
        ids = self.json_of("tokenize", "-m", MODEL, "--json", "--bos", stdin="Hello")["ids"]
        self.assertEqual(self.tensors(out)["logits"][1][0], len(ids))

    def test_unwritable_output_is_a_failure(self):
        result = run("logits", "-m", MODEL, "--ids", "1", "-o", str(WORK / "no/such/folder/x.safetensors"))
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(result.stderr.count(b"\n"), 1)


class BadFiles(Case):
    def check(self, path, *names):
        for command in (["generate", "--ids", "1"], ["info"], ["logits", "--ids", "1", "-o", str(WORK / "x.safetensors")]):
            with self.subTest(command[0]):
                self.refused(*command, "-m", str(path), names=names)

    def test_missing(self):
        self.check(WORK / "nothing.gguf", "nothing.gguf")

    def test_empty_file(self):
        (WORK / "empty.gguf").write_bytes(b"")
        self.check(WORK / "empty.gguf", "empty.gguf")

    def test_text_file(self):
        (WORK / "letter.txt").write_text("Dear Sir or Madam,\n")
        self.check(WORK / "letter.txt", "letter.txt")

    def test_folder_that_is_no_model(self):
        (WORK / "folder").mkdir(exist_ok=True)
        (WORK / "folder/letter.txt").write_text("Dear")
        self.check(WORK / "folder", "folder")

    def test_device(self):
        self.check("/dev/null", "/dev/null")

    def test_pickle(self):
        (WORK / "model.bin").write_bytes(b"PK\x03\x04" + bytes(100))
        self.check(WORK / "model.bin", "pickle")
        folder = WORK / "pickles"
        folder.mkdir(exist_ok=True)
        shutil.copy(golden("models/mixtral-tiny-f32") + "/config.json", folder)
        (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04" + bytes(100))
        self.check(folder, "pickle")

    def test_missing_shard(self):
        source = pathlib.Path(golden("models/mixtral-small-bf16"))
        folder = WORK / "shards"
        folder.mkdir(exist_ok=True)
        for file in source.iterdir():
            if not file.name.startswith("model-00002") and not (folder / file.name).exists():
                (folder / file.name).symlink_to(file)
        self.check(folder, "model-00002-of-00003.safetensors")

    def test_truncated_gguf(self):
        data = pathlib.Path(MODEL).read_bytes()
        for size in (3, 30, 3000, len(data) // 2, len(data) - 1):
            with self.subTest(size):
                (WORK / "cut.gguf").write_bytes(data[:size])
                self.refused("generate", "-m", str(WORK / "cut.gguf"), "--ids", "1", names=["cut.gguf"])

    def test_no_permission(self):
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        file = WORK / "secret.gguf"
        shutil.copy(MODEL, file)
        file.chmod(0)
        self.check(file, "secret.gguf")


if __name__ == "__main__":
    unittest.main()
