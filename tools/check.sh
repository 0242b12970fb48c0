#!/usr/bin/env bash
# The house rules that need no build; a few seconds. Run it before each commit.
set -uo pipefail

root=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
cd "$root" || exit 1

failed=()
check() {
  local name=$1
  "${@:2}" || failed+=("$name")
}

# Every file that git has or would take.
list_files() {
  local file
  while read -r file; do
    if [[ -f $file ]]; then printf '%s\n' "$file"; fi
  done < <(git ls-files --cached --others --exclude-standard "$@")
}

check_format() {
  local formatter sources
  formatter=$(command -v clang-format-14 || command -v clang-format) || {
    echo "clang-format is missing: apt-get install clang-format-14"
    return 1
  }
  mapfile -t sources < <(list_files '*.h' '*.cpp' '*.cu' '*.cuh')
  ((${#sources[@]} == 0)) || "$formatter" --dry-run -Werror "${sources[@]}"
}

check_scripts() {
  local script good=0
  while read -r script; do
    bash -n "$script" || good=1
  done < <(list_files '*.sh' .ci/run)
  return $good
}

check "checks of the checks" python3 tools/tests/checks_test.py --quiet
check format check_format
check scripts check_scripts
check layers tools/check_layers.py
check rules tools/check_rules.py
check sizes tools/check_size.py
check docs tools/check_docs.py

if ((${#failed[@]} > 0)); then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "House rules: good."
