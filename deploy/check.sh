#!/usr/bin/env bash
# `npm run check`: format, lint, types, protocol, dead code, unit tests. Runs every one of them even
# when an earlier one fails, and names those that did. Arguments are for vitest.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
PATH="$PWD/node_modules/.bin:$PATH"

failed=()
step() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  "$@" || failed+=("$name")
}

# The last released protocol is kept as an image in the repository, so that this needs neither tags nor
# a network. `npm run proto:release` renews it, with a release.
breaking() {
  if [[ ! -f proto/released.binpb ]]; then
    echo 'no proto/released.binpb: nothing was released yet, so nothing can break'
    return 0
  fi
  buf breaking --against proto/released.binpb
}

# Set-up for the tests brings it along; without it the rest is checked all the same.
scripts() {
  if ! command -v shellcheck >/dev/null; then
    echo 'no shellcheck: npm test installs it (deploy/setup.sh --tests)'
    return 0
  fi
  shellcheck --severity=warning deploy/*.sh
}

step format oxfmt --check
step 'proto format' buf format --diff --exit-code
step lint oxlint --type-aware --deny-warnings --report-unused-disable-directives
step types tsc -p tsconfig.json
step 'types: domain' tsc -p coordinator/domain/tsconfig.json
step 'types: recipes' tsc -p coordinator/recipes/tsconfig.json
step 'proto lint' buf lint
step 'proto breaking' breaking
step 'dead code' knip
step scripts scripts
step 'unit tests' vitest run --project unit "$@"

if ((${#failed[@]} > 0)); then
  printf '\ncheck failed: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
  exit 1
fi
printf '\ncheck passed\n'
