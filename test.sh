#!/usr/bin/env bash
# Builds and tests. The last line says how many tests passed, failed and were skipped.
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
# shellcheck source=tools/setup.sh
source "$root/tools/setup.sh"

usage() {
  cat <<'END'
./test.sh          Release build and every test
./test.sh REGEX    only the tests whose name matches, such as ./test.sh Tokenizer
./test.sh --ci     everything: house rules, g++ and clang with warnings as errors, sanitizers,
                   clang-tidy, short fuzzing, the installed library; up to 45 minutes on 2 cores
./test.sh --help   this text

Missing Debian packages are installed first (as root or with sudo). Tests that use the default model
are skipped, and say so, where it can be neither found nor fetched.
END
}

# run_tests PRESET [ctest options...]
run_tests() {
  python3 "$root/tools/run_ctest.py" --test-dir "$root/build/$1" -j "$(nproc)" "${@:2}"
}

default_model_if_possible() {
  prepare_default_model || say "Going on without the default model: the tests that use it are skipped."
}

test_release() {
  install_packages build test
  configure release -DMIXTRAL_BUILD_TESTS=ON
  cmake --build "$root/build/release"
  build_program
  default_model_if_possible
  run_tests release "$@"
}

test_gcc() {
  configure ci -DMIXTRAL_BUILD_TESTS=ON -DCMAKE_CXX_COMPILER=g++
  cmake --build "$root/build/ci"
  program=$root/build/ci/bin/mixtral default_model_if_possible
  run_tests ci
  "$root/tools/check_isa.py" "$root/build/ci"
  "$root/tools/check_docs.py" --program "$root/build/ci/bin/mixtral"
}

# Without what the first build has run and sanitizers make last for minutes: whole programs, long texts, the default model.
# clang-tidy gives clang's warnings for apps/, which is not built here: its command-line library takes minutes, instrumented.
test_clang_asan_ubsan() {
  configure dev -DMIXTRAL_BUILD_TESTS=ON -DCMAKE_CXX_COMPILER=clang++-14 -DMIXTRAL_BUILD_FUZZERS=ON
  cmake --build "$root/build/dev" --target test_programs fuzzers
  ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-14 run_tests dev -LE 'slow|apps' -E 'DefaultModel|LongContext|PerplexityOfType'
}

# Only the programs whose tests start threads. g++ takes minutes over an instrumented kernel file, clang seconds.
test_tsan() {
  local programs=(core_tests engine_tests server_tests) program fixed_addresses=()
  configure tsan -DMIXTRAL_BUILD_TESTS=ON -DCMAKE_CXX_COMPILER=clang++-14
  for program in "${programs[@]}"; do
    cmake --build "$root/build/tsan" --target "$program"
  done
  # ThreadSanitizer gives up where the kernel spreads mappings wider than it knows.
  if setarch -R true 2>/dev/null; then fixed_addresses=(setarch -R); fi
  "${fixed_addresses[@]}" python3 "$root/tools/run_ctest.py" --test-dir "$root/build/tsan" -j "$(nproc)" -L unit -LE slow
}

tidy() {
  local sources
  mapfile -t sources < <(git -C "$root" ls-files 'src/*.cpp' 'apps/*.cpp')
  (cd "$root" && printf '%s\n' "${sources[@]}" |
    xargs -n 1 -P "$(nproc)" clang-tidy-14 --quiet -p build/dev --warnings-as-errors='*' \
      2> >(grep -vE '^[0-9]+ warnings? generated' >&2))
}

test_installed_library() {
  local prefix=$root/build/prefix
  rm -rf "$prefix" "$root/build/examples"
  cmake --install "$root/build/ci" --prefix "$prefix" >/dev/null
  python3 "$root/tests/apps/tiny_model.py" "$root/build/tiny.gguf" "$root/build/tiny-adapter"
  cmake -G Ninja -S "$root/examples" -B "$root/build/examples" -DCMAKE_PREFIX_PATH="$prefix" \
    -DMIXTRAL_MODEL="$root/build/tiny.gguf" -DMIXTRAL_ADAPTER="$root/build/tiny-adapter" >/dev/null
  cmake --build "$root/build/examples"
  (cd "$root/build/examples" && ctest --no-tests=error --output-on-failure)
}

stage() {
  local name=$1 started=$SECONDS
  printf '\n== %s\n' "$name"
  "${@:2}"
  printf '== %s: good, %d s\n' "$name" $((SECONDS - started))
}

# The builds are shared: clang's is also the one of address sanitizer and fuzzers, g++'s the one that is installed.
test_everything() {
  trap 'code=$?; ((code == 0)) || printf "\n== FAILED after %d s\n" $SECONDS' EXIT
  install_packages build test ci
  if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
  stage "house rules" "$root/tools/check.sh"
  stage "g++, warnings are errors" test_gcc
  stage "clang, address and undefined-behaviour sanitizers" test_clang_asan_ubsan
  stage "thread sanitizer" test_tsan
  stage "clang-tidy" tidy
  stage "fuzzing" env MIXTRAL_FUZZ_BUILD="$root/build/dev" "$root/tests/fuzz/run.sh" 12
  stage "installed library" test_installed_library
  printf '\n== everything is good, %d s\n' $SECONDS
}

case ${1-} in
  '') test_release ;;
  --ci) test_everything ;;
  -h | --help) usage ;;
  -*)
    say "test.sh has no option $1."
    usage >&2
    exit 2
    ;;
  *) test_release -R "$1" ;;
esac
