#!/usr/bin/env bash
# Builds llama.cpp's own tools from the source package llama-cpp-python, for the comparisons beside this script.
# Not part of the tests. usage: bench/peers/build.sh [FOLDER]   (default: build/peers)
set -euo pipefail

root=$(dirname -- "$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")")
folder=${1:-$root/build/peers}
package=llama-cpp-python==0.3.36

mkdir -p "$folder"
cd "$folder"
if [[ ! -d llama-cpp-python ]]; then
  python3 -m venv venv
  # pip asks a source package for its metadata, which needs the package's own build backend.
  venv/bin/pip install --quiet scikit-build-core
  venv/bin/pip download --quiet --no-deps --no-binary :all: --no-build-isolation "$package"
  mkdir llama-cpp-python.part
  tar -xzf llama_cpp_python-*.tar.gz -C llama-cpp-python.part --strip-components=1
  mv llama-cpp-python.part llama-cpp-python
fi
cmake -G Ninja -S llama-cpp-python/vendor/llama.cpp -B llama.cpp -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
  -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF -DBUILD_SHARED_LIBS=OFF >/dev/null
cmake --build llama.cpp --target llama-bench llama-simple
echo "llama.cpp's tools are in $folder/llama.cpp/bin"
