# Sourced by tests/run.sh and examples/demo.sh, which set $root to the checkout (absolute).
# POSIX sh. Afterwards $py is the Python of $root/.venv.

: "${root:?}"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { echo "rpa-server: $*" >&2; }
fail() { say "$*"; exit 1; }

# install WHAT PACKAGE...: by apt-get where that needs no password, else one line that says what to do.
install() {
    what=$1
    shift
    command -v apt-get >/dev/null || fail "$what missing and apt-get is not here: install by hand, then run this again"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        fail "$what missing: run 'apt-get update && apt-get install -y $*' as root, then this again"
    fi
    say "$what missing: installing $*"
    # stdout is for what the caller runs; apt-get's errors still show.
    if ! { $as_root apt-get -qq update &&
           $as_root env DEBIAN_FRONTEND=noninteractive \
               apt-get -qq -y --no-install-recommends install "$@"; } >/dev/null </dev/null; then
        fail "$what missing: 'apt-get install $*' failed, see above"
    fi
}

# Sets $base to a Python >= 3.11. One that can make a venv is preferred to one that cannot; run,
# not just looked up: a version manager's python3.13 may be a stub for a version that is not there.
find_python() {
    base=
    for name in python3.13 python3.12 python3.11 python3; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        [ -n "$base" ] || base=$name
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            base=$name
            return 0
        fi
    done
    return 1
}

make_venv() {
    py=$root/.venv/bin/python
    # A venv cut short, or one whose Python was removed by an upgrade, is made anew.
    "$py" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    if ! find_python; then
        if [ -n "$base" ]; then
            version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            install "Python $version's venv module is" "python$version-venv"
        else
            install 'Python 3.11 or newer is' python3 python3-venv
        fi
        find_python || fail 'Python 3.11 or newer with its venv module is missing, and apt-get has none'
    fi
    say 'making .venv (only the first time)'
    "$base" -m venv --clear "$root/.venv" || fail "'$base -m venv .venv' failed, see above"
}

find_chromium() {
    for name in chromium chromium-browser google-chrome; do
        # Run as well: on Ubuntu the command can be a stub that asks for the snap.
        "$name" --version >/dev/null 2>&1 && return
    done
    return 1
}

# 18 is the first Node with the test runner that the scripts' own tests use.
find_node() {
    node -e 'process.exit(Number(process.versions.node.split(".")[0] < 18))' 2>/dev/null && npm --version >/dev/null 2>&1
}

# has PROGRAM: nginx is in /usr/sbin, which is not in everybody's PATH.
has() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

# What the tests need besides Python: a real Redis, a real browser, Node for the scripts
# that pages load, and what stands before the server.
need_test_tools() {
    missing=
    has redis-server || missing=redis-server
    has nginx || missing="$missing nginx"
    has openssl || missing="$missing openssl"
    if ! has php; then
        missing="$missing php-cli php-curl"
    elif ! php -m | grep -qix curl; then
        missing="$missing php-curl"
    fi
    find_node || missing="$missing nodejs npm"
    if ! find_chromium; then
        # Ubuntu's package is named otherwise.
        case $(. /etc/os-release 2>/dev/null && echo "${ID-}") in
            ubuntu) missing="$missing chromium-browser" ;;
            *) missing="$missing chromium" ;;
        esac
    fi
    # Not needed, but halves the CPU time of the browser tests; Debian alone has it as a package.
    if [ "$(id -u)" = 0 ] && ! has chromium-headless-shell &&
       [ "$(. /etc/os-release 2>/dev/null && echo "${ID-}")" = debian ]; then
        missing="$missing chromium-headless-shell"
    fi
    [ -n "$missing" ] || return 0
    # Unquoted: one word per package.
    # shellcheck disable=SC2086
    install "$(echo $missing | sed 's/ / and /')" $missing
    for name in redis-server nginx openssl php; do
        has "$name" || fail "$name was installed but is not in PATH"
    done
    php -m | grep -qix curl || fail 'php-curl was installed but php -m does not list it'
    find_node || fail 'Node was installed but is older than 18, or npm is missing: install by hand, then run this again'
    find_chromium || fail 'Chromium was installed but does not start: try chromium --version'
}
