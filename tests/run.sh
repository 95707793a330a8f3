#!/bin/sh
# Lint, types and tests, from any directory. Arguments go to tox: sh tests/run.sh -e tests -- -k name
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/.ci/setup.sh"

need_test_tools
make_venv
"$py" -m pip install -q 'tox>=4.21'
cd "$root"
exec "$py" -m tox run "$@"
