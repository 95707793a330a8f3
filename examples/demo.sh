#!/bin/sh
# Starts rpa-server with a robot that plays a quote, from any directory. Arguments go to rpa-server demo.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/.ci/setup.sh"

make_venv
# Editable: the code of the checkout runs as it is, and only a change of these files, or of the
# checkout's path, needs pip again.
stamp=$root/.venv/.rpa-server-installed
want="$root $(cat "$root/setup.cfg" "$root/setup.py" "$root/rpa_server/assets.py" | cksum)"
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ] || [ ! -e "$root/.venv/bin/rpa-server" ]; then
    say 'installing into .venv (a minute the first time)'
    "$py" -m pip install -q --use-pep517 -e "$root"
    printf '%s\n' "$want" >"$stamp"
fi
# Through $py: the script's own first line is wrong after the checkout has moved.
exec "$py" "$root/.venv/bin/rpa-server" demo "$@"
