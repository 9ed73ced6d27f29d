#!/usr/bin/env bash
# Brings proto/gen and dist up to date with their sources. Does nothing when they are: it compares
# file lists and times only, so that every npm script can call it first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/node_modules/.bin:$PATH"

mark=$(mktemp)
trap 'rm -f "$mark" "$mark.list"' EXIT

# stale STAMP PATH...: the stamp holds the list of files it was made from (so a deleted or renamed
# file counts too) and is older than none of them.
files() { find "$@" \( -path proto/gen -prune \) -o -type f \( -name '*.ts' -o -name '*.proto' -o -name '*.json' -o -name '*.yaml' \) -print 2>/dev/null | LC_ALL=C sort; }
stale() {
  local stamp=$1
  shift
  [[ -f $stamp ]] || return 0
  [[ "$(cat "$stamp")" == "$(files "$@")" ]] || return 0
  [[ -n "$(find "$@" \( -path proto/gen -prune \) -o -type f -newer "$stamp" -print 2>/dev/null | head -n 1)" ]]
}

proto_sources=()
while IFS= read -r file; do proto_sources+=("$file"); done < <(find proto -path proto/gen -prune -o -name '*.proto' -print | LC_ALL=C sort)

if ((${#proto_sources[@]} > 0)) && stale proto/gen/.stamp "${proto_sources[@]}" buf.yaml buf.gen.yaml package-lock.json; then
  echo 'generating proto/gen'
  # The stamp gets the time before the work, so that a file edited meanwhile is newer than it.
  touch "$mark"
  buf generate
  files "${proto_sources[@]}" buf.yaml buf.gen.yaml package-lock.json >"$mark.list"
  cp "$mark.list" proto/gen/.stamp && touch -r "$mark" proto/gen/.stamp
fi

sources=(package-lock.json tsconfig.json tsconfig.build.json)
for folder in proto kit coordinator agent cli; do [[ -d $folder ]] && sources+=("$folder"); done
[[ -f proto/gen/.stamp ]] && sources+=(proto/gen/.stamp)

if stale dist/.stamp "${sources[@]}"; then
  echo 'building dist'
  # A changed list of files may leave a stale .js behind: start afresh then.
  [[ -f dist/.stamp && "$(cat dist/.stamp)" == "$(files "${sources[@]}")" ]] || rm -rf dist
  mkdir -p dist
  touch "$mark"
  tsc -p tsconfig.build.json
  # `npx furrow` runs it as it lies.
  chmod +x dist/cli/main.js
  files "${sources[@]}" >"$mark.list"
  cp "$mark.list" dist/.stamp && touch -r "$mark" dist/.stamp
fi
