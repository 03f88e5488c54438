#!/usr/bin/env bash
# Installs what `make test` needs beside Go: a C compiler for the race
# detector, FUSE, the tools that the suites run, and two FTP servers. The
# servers' packages exclude one another, so vsftpd is only unpacked, into
# .cache/servers/vsftpd of this checkout.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/need.sh \
  gcc=gcc /usr/include/stdio.h=libc6-dev fusermount3=fuse3 git=git \
  proftpd=proftpd-core /usr/lib/proftpd/mod_tls.so=proftpd-mod-crypto \
  mountpoint=util-linux ps=procps tar=tar sed=sed find=findutils

vsftpd=.cache/servers/vsftpd
if [ ! -x $vsftpd/usr/sbin/vsftpd ]; then
  if ! command -v apt-get >/dev/null; then
    echo "missing: vsftpd, and there is no apt-get: unpack it into $vsftpd" >&2
    exit 1
  fi
  echo "unpacking vsftpd"
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  chmod 755 "$tmp" # apt downloads as a user of its own
  fetch() { (cd "$tmp" && apt-get download vsftpd) >"$tmp/log" 2>&1; }
  fetch || { [ "$(id -u)" = 0 ] && apt-get update >/dev/null 2>&1 && fetch; } || {
    echo "cannot download vsftpd: $(tail -n 1 "$tmp/log")" >&2
    exit 1
  }
  mkdir -p .cache/servers
  rm -rf $vsftpd
  dpkg -x "$tmp"/vsftpd_*.deb "$tmp/vsftpd"
  mv "$tmp/vsftpd" $vsftpd
fi

# Its shared libraries are packages that exclude nothing.
if ldd $vsftpd/usr/sbin/vsftpd | grep -q 'not found'; then
  libraries=()
  for p in $(apt-cache depends vsftpd | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p'); do
    libraries+=("/var/lib/dpkg/info/$p.list=$p" )
  done
  scripts/need.sh "${libraries[@]}"
  lacking=$(ldd $vsftpd/usr/sbin/vsftpd | awk '/not found/ {print $1}' | tr '\n' ' ')
  [ -z "$lacking" ] || { echo "missing libraries of vsftpd: $lacking" >&2; exit 1; }
fi
