#!/usr/bin/env bash
# Sets up what is missing, then is the program: `npm start`, `npm run demo -- FILE`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/deploy/setup.sh"
# npm runs us in the checkout; the user's files are named from where npm was called.
cd "${INIT_CWD:-.}"
exec node "$root/dist/cli/main.js" "$@"
