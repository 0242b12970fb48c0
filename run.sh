#!/usr/bin/env bash
# Installs what is missing, builds, prepares the default model if needed, and becomes `mixtral`.
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
# shellcheck source=tools/setup.sh
source "$root/tools/setup.sh"

usage() {
  cat >&2 <<'END'
./run.sh              chat with the default model in the terminal
./run.sh "question"   answer one question on standard output
./run.sh -- ARGS      run `mixtral ARGS`; ./run.sh -- --help lists the commands
./run.sh --help       this text

The first start installs missing Debian packages (as root or with sudo), builds the program and
prepares the default model in ${XDG_CACHE_HOME:-~/.cache}/mixtral. Later starts do none of that.
With a model of your own: ./run.sh -- chat -m FILE_OR_FOLDER
END
}

# True if `mixtral "$@"` will look for the default model: a command that wants a model, and no -m.
wants_default_model() {
  local argument
  case ${1-} in
    chat | generate | serve | info | logits | tokenize | detokenize | bench) ;;
    *) return 1 ;;
  esac
  for argument in "${@:2}"; do
    case $argument in
      -m* | --model | --model=* | --machine | -h | --help | --version) return 1 ;;
    esac
  done
}

case ${1-} in
  '') arguments=(chat) ;;
  --) arguments=("${@:2}") ;;
  -h | --help)
    usage
    exit 0
    ;;
  -*)
    say "run.sh has no option $1. To hand it to the program: ./run.sh -- $*"
    say
    usage
    exit 2
    ;;
  chat | generate | serve | load-test | info | logits | tokenize | detokenize | convert | pack | quantize | imatrix | \
    perplexity | upcycle | make-model | bench | completion | man)
    say "$1 is a command of the program: ./run.sh -- $*"
    exit 2
    ;;
  *) arguments=(generate "$*") ;;
esac

build_program
if wants_default_model "${arguments[@]}"; then prepare_default_model; fi
exec "$program" "${arguments[@]}"
