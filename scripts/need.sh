#!/usr/bin/env bash
# Sees to it that programs are there, by installing the Debian packages of
# those that are not: need.sh PROGRAM=PACKAGE ... PROGRAM is looked for in
# $PATH and in the sbin folders; one with a slash is a file. No service of a
# package is started. Without root or apt-get it says what is missing.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

there() {
  case $1 in
    */*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
for pair in "$@"; do
  there "${pair%%=*}" || missing+=("${pair#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "missing: ${missing[*]}; install as root: apt-get install ${missing[*]}" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]}, and there is no apt-get: install them with this system's package manager" >&2
  exit 1
fi

# dpkg asks this program whether a service may be started (invoke-rc.d).
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  trap 'rm -f $policy' EXIT
fi

log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
echo "installing ${missing[*]}"
# A machine that was just started may be updating itself: its lock is waited for.
install() { apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; }
if ! install; then
  apt-get update >"$log" 2>&1 && install || {
    echo "cannot install ${missing[*]}: $(tail -n 1 "$log") (all of it: $log)" >&2
    exit 1
  }
fi
rm -f "$log"
