#!/bin/sh
# Finds a Chromium and playwright-core with axe-core for the browser test, or fetches them into .tools/ of this checkout.
#
# The last line of stdout is the path of the Chromium; all else goes to stderr. Nothing outside the checkout is written
# and no root is needed: Chromium comes from the Debian mirror this machine's apt uses, the scripts from npm.
#
#   VP_CHROMIUM=/path/to/chromium   use this one and no other

set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
. "$root/deploy/setup/apt.sh"
begin_setup "$root"
fetched="$tools/chromium"

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

# What Chromium needs and this machine has not, all of it in one download.
fetch_into_tree() {
    private_apt apt-get update >>"$work/log" || return 1
    wanted=fonts-dejavu-core
    for package in $(packages_of chromium); do
        case $package in
        lib*-dev | *-data-unpack) continue ;;
        chromium | chromium-common | lib* | fontconfig-config | fonts-dejavu-core) ;;
        *) continue ;;
        esac
        is_installed "$package" || wanted="$wanted $package"
    done
    say "setup: fetching Debian's chromium and its libraries into $fetched (about 120 MB; the system is not touched)"
    # shellcheck disable=SC2086 # A list of names.
    unpack_into "$work/tree" $wanted
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
need_programs apt-get apt-cache dpkg
begin_fetch
if ! fetch_into_tree; then
    apt_said
    give_up "none is installed, and the fetch failed (apt's words above)"
fi
wrap
rm -rf -- "$fetched"
mv -- "$work/tree" "$fetched"
chmod 755 "$fetched"
use_if_good "$fetched/chromium"
give_up "the package that was fetched does not run on this machine"
