#!/usr/bin/env bash
# Installs what `make test` needs beside Go: a C compiler for the race
# detector, FUSE, the tools that the suites run, and five FTP servers. The
# servers' packages exclude one another, so all but ProFTPD are only unpacked,
# into .cache/servers of this checkout.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/need.sh \
  gcc=gcc /usr/include/stdio.h=libc6-dev fusermount3=fuse3 git=git curl=curl \
  proftpd=proftpd-core /usr/lib/proftpd/mod_tls.so=proftpd-mod-crypto /usr/lib/proftpd/mod_case.so=proftpd-mod-case \
  mountpoint=util-linux mount=mount ip=iproute2 nft=nftables unshare=util-linux /etc/services=netbase systemd-analyze=systemd ps=procps tar=tar sed=sed find=findutils \
  rsync=rsync vim=vim nano=nano sqlite3=sqlite3 unzip=unzip python3=python3 \
  /usr/bin/pydoc3=python3 /usr/lib/python3/dist-packages/OpenSSL/__init__.py=python3-openssl

# unpack PACKAGE FILE: unless .cache/servers/PACKAGE has the file.
unpack() {
  local package=$1 file=$2 dir=.cache/servers/$1
  [ ! -e "$dir/$file" ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "missing: $package, and there is no apt-get: unpack it into $dir" >&2
    exit 1
  fi
  echo "unpacking $package"
  local tmp
  tmp=$(mktemp -d)
  chmod 755 "$tmp" # apt downloads as a user of its own
  fetch() { (cd "$tmp" && apt-get download "$package") >"$tmp/log" 2>&1; }
  fetch || { [ "$(id -u)" = 0 ] && apt-get update >/dev/null 2>&1 && fetch; } || {
    echo "cannot download $package: $(tail -n 1 "$tmp/log")" >&2
    rm -rf "$tmp"
    exit 1
  }
  mkdir -p .cache/servers
  rm -rf "$dir"
  dpkg -x "$tmp/$package"_*.deb "$tmp/unpacked"
  mv "$tmp/unpacked" "$dir"
  rm -rf "$tmp"
}

# libraries PACKAGE BINARY: the shared libraries of an unpacked program are
# packages that exclude nothing.
libraries() {
  local binary=.cache/servers/$1/$2 wanted=() p
  ldd "$binary" | grep -q 'not found' || return 0
  for p in $(apt-cache depends "$1" | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p'); do
    wanted+=("/var/lib/dpkg/info/$p.list=$p")
  done
  scripts/need.sh "${wanted[@]}"
  local lacking
  lacking=$(ldd "$binary" | awk '/not found/ {print $1}' | tr '\n' ' ')
  [ -z "$lacking" ] || { echo "missing libraries of $1: $lacking" >&2; exit 1; }
}

unpack vsftpd usr/sbin/vsftpd
libraries vsftpd usr/sbin/vsftpd
unpack pure-ftpd usr/sbin/pure-ftpd
libraries pure-ftpd usr/sbin/pure-ftpd
unpack inetutils-ftpd usr/sbin/ftpd
libraries inetutils-ftpd usr/sbin/ftpd
unpack python3-pyftpdlib usr/lib/python3/dist-packages/pyftpdlib/__init__.py
