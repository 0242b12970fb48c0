#!/usr/bin/env bash
# Runs the fuzzing harnesses, one on each CPU, each for SECONDS, and fails on the first finding.
#
#   tests/fuzz/run.sh SECONDS [HARNESS...]
#
# MIXTRAL_FUZZ_BUILD is the build folder (default: build/fuzz). Inputs found on the way and findings
# stay in its folder fuzz-work/HARNESS; the committed corpus is only read.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=${MIXTRAL_FUZZ_BUILD:-$here/../../build/fuzz}

if [[ $# -lt 1 || ! $1 =~ ^[0-9]+$ ]]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
seconds=$1
shift
harnesses=("$@")
if [[ ${#harnesses[@]} -eq 0 ]]; then
  for source in "$here"/*_fuzz.cpp; do harnesses+=("$(basename "$source" .cpp)"); done
fi

# fuzz HARNESS: says in one line how it went; fails on a finding.
fuzz() {
  local harness=$1 program=$build/fuzz/$1 work=$build/fuzz-work/$1
  mkdir -p "$work/corpus" "$work/findings"
  local options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 -malloc_limit_mb=256
                 -max_len=8192 -print_final_stats=1 -artifact_prefix="$work/findings/")
  [[ -f $here/$harness.dict ]] && options+=(-dict="$here/$harness.dict")
  local folders=("$work/corpus")
  [[ -d $here/corpus/$harness ]] && folders+=("$here/corpus/$harness")
  if ! "$program" "${options[@]}" "${folders[@]}" >"$work/log" 2>&1; then
    tail -n 60 "$work/log"
    echo "$harness: FINDING; the input lies in $work/findings" >&2
    return 1
  fi
  local executed rss
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
  rss=$(sed -n 's/^stat::peak_rss_mb: *//p' "$work/log")
  echo "$harness: $executed inputs in $seconds s, no finding, peak memory $rss MiB"
}

for harness in "${harnesses[@]}"; do
  if [[ ! -x $build/fuzz/$harness ]]; then
    echo "run.sh: no $build/fuzz/$harness: build it first (tests/fuzz/README.md)" >&2
    exit 2
  fi
done
export -f fuzz
export here build seconds
# 255 makes xargs start no more of them.
printf '%s\n' "${harnesses[@]}" | xargs -P "$(nproc)" -I {} bash -c 'fuzz {} || exit 255'
