#!/bin/sh
# What `make interop` needs besides Debian's packages, into test/interop/.cache: clients of PyPI and
# of Go, the packet table of mochi-mqtt, and mosquitto's sources with their tests. Nothing is done
# for what is there; what cannot be had costs a sentence, and the tests say what they skip.
# Bound: the clients' own timeouts.
set -eu
cd "$(dirname "$0")"
cache=$PWD/.cache
mkdir -p "$cache"

python() {
  [ -f "$cache/python/whole" ] && return
  rm -rf "$cache/python"
  /usr/bin/python3 -m venv "$cache/python" &&
    "$cache/python/bin/pip" install -q --disable-pip-version-check -r requirements.txt &&
    touch "$cache/python/whole"
}

go_programs() {
  [ -x "$cache/go/packets" ] && [ -x "$cache/go/device" ] && return
  (cd go && go build -o "$cache/go/" ./device ./packets)
}

# apt reads deb-src lines of its own here: the machine's are left as they are.
mosquitto() {
  [ -d "$cache/mosquitto" ] && return
  apt=$cache/apt
  mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/source"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    [ -f "$file" ] || continue
    sed -e 's/^Types: deb$/Types: deb-src/' -e 's/^deb /deb-src /' "$file" \
      > "$apt/parts/$(basename "$file")"
  done
  set -- -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/parts" \
    -o "Dir::State::lists=$apt/lists" -o APT::Sandbox::User=root
  (cd "$apt/source" && apt-get "$@" update && apt-get "$@" source mosquitto) >&2 &&
    mv "$apt"/source/mosquitto-*/ "$cache/mosquitto" &&
    rm -rf "$apt"
}

python || echo 'interop: no Python clients of PyPI (Debian: python3-venv)' >&2
go_programs || echo 'interop: no Go clients and no packet table (Debian: golang; 1.24 or later)' >&2
mosquitto || echo "interop: no sources of mosquitto (Debian: dpkg-dev)" >&2
