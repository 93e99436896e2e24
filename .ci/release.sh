#!/bin/sh
# What `make release` does before and after the tests.
#
#   .ci/release.sh check    is this tree a release?
#   .ci/release.sh pack     the same, then release/owsla-VERSION.tgz and its checksum
#
# A release is a clean tree in which package.json, package-lock.json and the newest section of
# CHANGELOG.md, `## VERSION - DATE`, name the same version, which no other commit is tagged with.
# Nothing is tagged or published here. Bound: exit 1 with one sentence on the first thing missing.
set -eu
cd "$(dirname "$0")/.."

refuse() { echo "release: $*" >&2; exit 1; }

check() {
  changed=$(git status --porcelain)
  [ -z "$changed" ] || refuse "the tree is not clean:
$changed"
  version=$(node -p 'require("./package.json").version')
  locked=$(node -p 'const { version, packages } = require("./package-lock.json");
    [...new Set([version, packages[""].version])].join(" and ")')
  [ "$locked" = "$version" ] ||
    refuse "package.json says $version, package-lock.json $locked: run npm install"
  newest=$(sed -n 's/^## //p' CHANGELOG.md | head -n 1)
  case $newest in
    "$version - "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]) ;;
    *) refuse "the newest section of CHANGELOG.md is '$newest', not '$version - YYYY-MM-DD'" ;;
  esac
  tagged=$(git rev-parse -q --verify "refs/tags/v$version^{commit}" || true)
  [ -z "$tagged" ] || [ "$tagged" = "$(git rev-parse HEAD)" ] ||
    refuse "v$version is tagged already, at another commit"
}

pack() {
  check
  rm -rf release
  mkdir release
  npm pack --silent --pack-destination release >&2
  (cd release && sha256sum "owsla-$version.tgz" | tee "owsla-$version.tgz.sha256")
  echo "release: $version is in release/. To publish it:"
  echo "  git tag -a v$version -m 'Owsla $version' && git push origin v$version"
  echo "  npm publish release/owsla-$version.tgz"
}

case ${1:-} in
  check) check ;;
  pack) pack ;;
  *) refuse "say check or pack" ;;
esac
