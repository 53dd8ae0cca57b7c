#!/bin/sh
# Finds a Chromium and playwright-core with axe-core for the browser test, or fetches them into .tools/ of this checkout.
#
# The last line of stdout is the path of the Chromium; all else goes to stderr. Nothing outside the checkout is written
# and no root is needed: Chromium comes from the Debian mirror this machine's apt uses, the scripts from npm.
#
#   VP_CHROMIUM=/path/to/chromium   use this one and no other

set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
tools="$root/.tools"
fetched="$tools/chromium"
work=

say() { printf '%s\n' "$*" >&2; }
cleanup() { [ -z "$work" ] || rm -rf -- "$work"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

give_up() {
    say "setup: no browser for the test: $1"
    say ""
    say "Ways to get one (any of them, then run the same command again):"
    say "  - install your distribution's Chromium (Debian: chromium), so that it is on PATH"
    say "  - set VP_CHROMIUM=/path/to/chromium"
    exit 1
}

scripts() {
    [ -d "$tools/browser/node_modules/axe-core" ] && [ -d "$tools/browser/node_modules/playwright-core" ] && return 0
    command -v npm >/dev/null || give_up "npm is not installed (Debian: nodejs, npm)"
    say "setup: fetching playwright-core and axe-core into $tools/browser"
    mkdir -p "$tools/browser"
    npm install --prefix "$tools/browser" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
        playwright-core@1 axe-core@4 >&2 || give_up "npm could not fetch the scripts"
}

use_if_good() {
    [ -x "$1" ] || return 0
    if "$1" --version >/dev/null 2>&1; then
        say "setup: $("$1" --version 2>/dev/null | head -n 1) at $1"
        printf '%s\n' "$1"
        exit 0
    fi
    say "setup: passing over $1: it does not run here"
}

private_apt() {
    program=$1
    shift
    "$program" -q -o Dir::State="$work/state" -o Dir::State::lists="$work/state/lists" \
        -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o Dir::Log="$work" \
        -o APT::Sandbox::User="$(id -un)" -o APT::Get::List-Cleanup=0 \
        -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= \
        -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=30 "$@" 2>>"$work/log"
}

is_installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

# What Chromium needs and this machine has not, all of it in one download.
fetch_into_tree() {
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/tree" "$work/deb"
    : >"$work/status"
    : >"$work/log"
    private_apt apt-get update >>"$work/log" || return 1
    packages=$(private_apt apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances chromium | grep -E '^[a-z0-9][a-z0-9.+-]+$' | grep -v '^libc6$' | sort -u)
    wanted=fonts-dejavu-core
    for package in $packages; do
        case $package in
        lib*-dev | *-data-unpack) continue ;;
        chromium | chromium-common | lib* | fontconfig-config | fonts-dejavu-core) ;;
        *) continue ;;
        esac
        is_installed "$package" || wanted="$wanted $package"
    done
    say "setup: fetching Debian's chromium and its libraries into $fetched (about 120 MB; the system is not touched)"
    # shellcheck disable=SC2086 # A list of names.
    (cd "$work/deb" && private_apt apt-get download $wanted >>"$work/log") || return 1
    for deb in "$work/deb"/*.deb; do
        dpkg -x "$deb" "$work/tree" || return 1
    done
}

# A program that finds its libraries and a font in the tree, wherever the checkout is.
wrap() {
    cat >"$work/tree/chromium" <<'WRAPPER'
#!/bin/sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
libraries=$(ls -d "$here"/usr/lib/*-linux-gnu "$here"/usr/lib/*-linux-gnu/* "$here"/lib/*-linux-gnu 2>/dev/null | tr '\n' ':')
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:-}"
fonts="$here/fonts.conf"
printf '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>%s/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>%s/fontcache</cachedir></fontconfig>' "$here" "$here" >"$fonts.$$"
mv -f "$fonts.$$" "$fonts"
export FONTCONFIG_FILE="$fonts"
exec "$here/usr/lib/chromium/chromium" "$@"
WRAPPER
    chmod 755 "$work/tree/chromium"
}

scripts
if [ -n "${VP_CHROMIUM:-}" ]; then
    use_if_good "$VP_CHROMIUM"
    give_up "VP_CHROMIUM names \`$VP_CHROMIUM\`, which cannot be used"
fi
use_if_good "$fetched/chromium"
for name in chromium chromium-browser google-chrome; do
    found=$(command -v "$name" 2>/dev/null) && use_if_good "$found"
done
for program in apt-get apt-cache dpkg; do
    command -v "$program" >/dev/null || give_up "none is installed, and without \`$program\` none can be fetched"
done
umask 022
mkdir -p "$tools" || give_up "$tools cannot be written"
work=$(mktemp -d "$tools/fetch.XXXXXX")
if ! fetch_into_tree; then
    grep -e '^[EW]:' "$work/log" | tail -n 6 | sed 's/^/    /' >&2 || :
    give_up "none is installed, and the fetch failed (apt's words above)"
fi
wrap
rm -rf -- "$fetched"
mv -- "$work/tree" "$fetched"
chmod 755 "$fetched"
use_if_good "$fetched/chromium"
give_up "the package that was fetched does not run on this machine"
