#!/usr/bin/env bash
# Builds the peers' own tools from their source packages on PyPI, for the comparisons beside this script: llama.cpp
# from llama-cpp-python, ik_llama.cpp from ik-llama-cpp-python. Not part of the tests.
#
#   bench/peers/build.sh [--avx2] [FOLDER]      FOLDER: build/peers without it
#
# The tools come to FOLDER/llama.cpp/bin and FOLDER/ik_llama.cpp/bin, built for this machine; with --avx2 to
# FOLDER/llama.cpp-avx2/bin and FOLDER/ik_llama.cpp-avx2/bin, for AVX2 and no more.
set -euo pipefail

root=$(dirname -- "$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")")
suffix='' instruction_set=(-DGGML_NATIVE=ON)
if [[ ${1-} == --avx2 ]]; then
  suffix=-avx2
  instruction_set=(-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON)
  shift
fi
folder=${1:-$root/build/peers}
mkdir -p "$folder"
cd "$folder"

# fetch PACKAGE==VERSION: the sources, in a folder of the package's name.
fetch() {
  local package=${1%%==*}
  if [[ -d $package ]]; then return; fi
  if [[ ! -d venv ]]; then
    python3 -m venv venv
    # pip asks a source package for its metadata, which needs the package's own build backend.
    venv/bin/pip install --quiet scikit-build-core
  fi
  venv/bin/pip download --quiet --no-deps --no-binary :all: --no-build-isolation "$1"
  rm -rf "$package.part"
  mkdir "$package.part"
  tar -xzf "${package//-/_}-${1##*==}.tar.gz" -C "$package.part" --strip-components=1
  mv "$package.part" "$package"
}

# build NAME SOURCES TARGET...
build() {
  local name=$1$suffix
  cmake -G Ninja -S "$2" -B "$name" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF \
    -DLLAMA_BUILD_TESTS=OFF "${instruction_set[@]}" >"$name.log" 2>&1 || {
    cat "$name.log" >&2
    return 1
  }
  cmake --build "$name" --target "${@:3}"
  echo "The tools of $1 are in $folder/$name/bin"
}

fetch llama-cpp-python==0.3.36
build llama.cpp llama-cpp-python/vendor/llama.cpp \
  llama-bench llama-batched-bench llama-simple llama-perplexity llama-quantize llama-imatrix llama-server

fetch ik-llama-cpp-python==0.1.5
ik=ik-llama-cpp-python/vendor/ik_llama.cpp
# The package lacks the script that fills in the version from Git.
mkdir -p "$ik/common/cmake"
cat >"$ik/common/cmake/build-info-gen-cpp.cmake" <<'CMAKE'
set(BUILD_NUMBER 0)
set(BUILD_COMMIT unknown)
configure_file(common/build-info.cpp.in ${CMAKE_SOURCE_DIR}/common/build-info.cpp)
CMAKE
# Its tool for batches writes token 0 in every sequence, so that all choose the same experts, which are read once for all.
# llama.cpp's takes random tokens.
sed -i 's/common_batch_add(batch, 0, /common_batch_add(batch, std::rand() % llama_n_vocab(model), /' \
  "$ik/examples/batched-bench/batched-bench.cpp"
# Attention over an f16 cache only: all other pairs of types take an hour to compile.
instruction_set+=(-DGGML_IQK_FA_ALL_QUANTS=OFF)
build ik_llama.cpp "$ik" llama-bench llama-batched-bench
