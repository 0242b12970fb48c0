#!/usr/bin/env bash
# Does what a new user does on a fresh Debian: clones, asks a question, runs the tests; then deletes the build
# and the cache and does it again. Root only (debootstrap, chroot); leaves the system in ROOT_FOLDER.
#
#   tools/fresh_clone.sh ROOT_FOLDER [SUITE]
#
# Packages come from where this machine's own apt and pip get theirs. A folder that exists is used again, but
# what an earlier run installed stays installed: delete it for a fresh start.
set -euo pipefail

if (($# < 1 || EUID != 0)); then
  sed -n '2,/^set/ s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
target=$(realpath -m -- "$1")
suite=${2-bookworm}
repository=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
person=newcomer

step() { printf '\n>> %s\n' "$*"; }

make_root() {
  local mirror
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 'Component: main' 'Created-By: Packages' | head -n 1)
  if [[ -z $mirror ]]; then
    echo "no source of $suite in this machine's apt configuration" >&2
    exit 1
  fi
  debootstrap --variant=minbase "$suite" "$target" "$mirror" >"$target.debootstrap.log" || {
    tail "$target.debootstrap.log" >&2
    exit 1
  }
  # How this machine reaches the network: proxies, certificates, name server, package indexes.
  apt-config dump | grep -E '^Acquire::(http|https|ftp)::' >"$target/etc/apt/apt.conf.d/00host" || true
  mkdir -p "$target/usr/local/share/ca-certificates"
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t "$target/usr/local/share/ca-certificates" {} +
  cp -L /etc/resolv.conf /etc/hosts "$target/etc/"
  if [[ -e /etc/pip.conf ]]; then cp /etc/pip.conf "$target/etc/"; fi
}

in_root() { chroot "$target" /usr/bin/env -i "PATH=/usr/sbin:/usr/bin:/sbin:/bin" "$@"; }

# as_person COMMAND: in the clone, in a login that knows nothing but the pip settings of this machine.
as_person() {
  local pip_settings
  mapfile -t pip_settings < <(env | grep -E '^PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|PROXY|DEFAULT_TIMEOUT)=')
  in_root su - "$person" -c "export LANG=C.UTF-8 ${pip_settings[*]@Q}; cd mixtral && { $1; }"
}

mount_kernel_folders() {
  trap 'umount -R "$target/proc" "$target/sys" "$target/dev" 2>/dev/null || true' EXIT
  mount -t proc proc "$target/proc"
  mount -t sysfs -o ro sysfs "$target/sys"
  mount --rbind /dev "$target/dev"
  mount --make-rslave "$target/dev"
}

make_person() {
  if in_root id "$person" >/dev/null 2>&1; then return; fi
  in_root apt-get -qq update
  in_root DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends sudo >/dev/null 2>&1
  in_root useradd --create-home --shell /bin/bash "$person"
  echo "$person ALL=(ALL) NOPASSWD: ALL" >"$target/etc/sudoers.d/$person"
}

both_commands() {
  step "./run.sh \"What is the capital of France?\""
  as_person 'time ./run.sh "What is the capital of France?" </dev/null'
  step "the same again"
  as_person 'time ./run.sh "What is the capital of France?" </dev/null'
  step "./run.sh -- --version"
  as_person 'time ./run.sh -- --version'
  step "./test.sh"
  as_person 'time ./test.sh'
}

[[ -x $target/bin/bash ]] || { step "debootstrap $suite"; make_root; }
mount_kernel_folders
make_person
step "git clone"
rm -rf "$target/home/$person/mixtral" "$target/home/$person/.cache"
git clone --quiet "file://$repository" "$target/home/$person/mixtral"
in_root chown -R "$person:$person" "/home/$person/mixtral"
both_commands
step "once more, without the build and the cache"
as_person 'rm -rf build ~/.cache/mixtral'
both_commands
step "good"
