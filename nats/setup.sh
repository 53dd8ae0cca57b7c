#!/bin/sh
# Finds a nats-server that is new enough, or fetches one into .tools/ of this checkout.
#
# The last line of stdout is the path of the binary; all else goes to stderr.
# Nothing outside the checkout is written and no root is needed: the fetch uses a
# private apt state, the mirror that this machine's apt already uses, and this
# machine's Debian keys. Running it again costs milliseconds.
#
#   VP_NATS_SERVER=/path/to/nats-server   use this one and no other

set -eu

needed_major=2
needed_minor=14
needed="$needed_major.$needed_minor"
suite=testing
keyrings=/usr/share/keyrings

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/deploy/setup/apt.sh"
begin_setup "$root"
fetched="$tools/bin/nats-server"

give_up() {
    say "setup: no nats-server $needed or newer: $1"
    shift
    for line in "$@"; do say "  $line"; done
    say ""
    say "Ways to get one (any of them, then run the same command again):"
    say "  - install nats-server $needed or newer with your package manager, so that it is on PATH"
    say "  - unpack a release archive of the nats-server project anywhere, and set"
    say "        VP_NATS_SERVER=/path/to/nats-server"
    say "  - put the binary (or a link to it) at"
    say "        $fetched"
    exit 1
}

# Prints the version of the binary $1, such as 2.15.1; fails if it does not run.
version_of() {
    "$1" -v 2>/dev/null | sed -n 's/^nats-server: v\{0,1\}\([0-9][0-9.]*\).*/\1/p' | head -n 1 | grep .
}

new_enough() {
    major=${1%%.*}
    rest=${1#*.}
    minor=${rest%%.*}
    [ "$major" -gt "$needed_major" ] || { [ "$major" -eq "$needed_major" ] && [ "$minor" -ge "$needed_minor" ]; }
}

# Ends the script with success if $1 is a usable server.
use_if_good() {
    [ -f "$1" ] && [ -x "$1" ] || return 0
    if ! found=$(version_of "$1"); then
        say "setup: passing over $1: it does not run here (\`$1 -v\` fails)"
    elif ! new_enough "$found"; then
        say "setup: passing over $1: it is version $found, $needed is needed"
    else
        say "setup: nats-server $found at $1"
        printf '%s\n' "$1"
        exit 0
    fi
}

use_named() {
    use_if_good "$VP_NATS_SERVER"
    give_up "VP_NATS_SERVER names \`$VP_NATS_SERVER\`, which cannot be used" \
        "It was asked for by name, so nothing else was tried. Unset it to let setup look further."
}

use_installed() {
    use_if_good "$fetched"
    # An ordinary user's PATH often lacks sbin, where Debian installs the server.
    old_ifs=$IFS
    IFS=:
    for dir in $PATH:/usr/local/sbin:/usr/sbin; do
        IFS=$old_ifs
        [ -z "$dir" ] || use_if_good "$dir/nats-server"
    done
    IFS=$old_ifs
}

# The private apt with only the source in $work/sources.list, for packages of this machine's kind.
one_source() {
    private_apt apt-get \
        -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o APT::Architecture="$arch" -o APT::Update::Error-Mode=any "$@" >>"$work/log"
}

# The Debian archives (not the security ones) that this machine's apt is set up for.
mirrors() {
    {
        apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian'
        # Without downloaded lists apt knows the configured places but not their origin.
        apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' | grep debian
    } 2>/dev/null | grep -v -e security -e '^cdrom:' | awk '!seen[$0]++'
}

# Lists the suite $2 of the mirror $1, verified with the keys in $3.
list_suite() {
    fresh_apt
    printf 'deb [signed-by=%s] %s %s main\n' "$3" "$1" "$2" >"$work/sources.list"
    one_source update
}

download_and_unpack() {
    rm -rf -- "$work/deb" "$work/$1"
    mkdir -p "$work/deb"
    (cd "$work/deb" && one_source download "$1") && dpkg -x "$work/deb/$1"_*.deb "$work/$1"
}

# Newer releases of Debian call it .pgp.
keyring_in() {
    for candidate in "$1/debian-archive-keyring.gpg" "$1/debian-archive-keyring.pgp"; do
        [ ! -s "$candidate" ] || { printf '%s\n' "$candidate"; return 0; }
    done
    return 1
}

signature_refused() { grep -q -e NO_PUBKEY -e 'is not signed' -e 'not available: ' -e EXPKEYSIG -e 'sqv' "$work/log"; }

# Debian adds the keys of newer suites to the key package of older ones. So the
# present suite, verified with the keys installed, vouches for the newer keys.
renew_keys() {
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    say "setup: the keys of this machine do not know $suite's signature;"
    say "setup: taking newer ones from $codename's debian-archive-keyring, verified with the keys at hand"
    [ -n "$codename" ] || return 1
    list_suite "$1" "$codename" "$keyring" || return 1
    download_and_unpack debian-archive-keyring || return 1
    newer=$(keyring_in "$work/debian-archive-keyring$keyrings") && list_suite "$1" "$suite" "$newer"
}

fetch_from() {
    : >"$work/log"
    say "setup: fetching Debian $suite's nats-server into $tools (about 15 MB; the system is not touched)"
    if ! list_suite "$1" "$suite" "$keyring"; then
        signature_refused || return 1
        renew_keys "$1" || return 1
    fi
    download_and_unpack nats-server || return 1
    binary="$work/nats-server/usr/sbin/nats-server"
    [ -x "$binary" ] || binary="$work/nats-server/usr/bin/nats-server"
    mkdir -p "$tools/bin" "$tools/share/doc"
    cp "$work/nats-server/usr/share/doc/nats-server/copyright" "$tools/share/doc/nats-server.copyright" || :
    # A rename, so that two setups at once never leave half a binary.
    mv -f -- "$binary" "$fetched"
}

fetch() {
    need_programs apt-get dpkg
    keyring=$(keyring_in "$keyrings") ||
        give_up "none is installed, and without $keyrings/debian-archive-keyring.gpg Debian's packages cannot be verified"
    arch=$(dpkg --print-architecture)
    begin_fetch
    candidates=$(mirrors)
    [ -n "$candidates" ] ||
        give_up "none is installed, and this machine's apt knows no Debian mirror to fetch one from"
    for mirror in $candidates; do
        if fetch_from "$mirror"; then
            use_if_good "$fetched"
            give_up "Debian $suite's package does not help on this machine (see above)"
        fi
        say "setup: fetching from $mirror failed; apt said:"
        apt_said
    done
    give_up "none is installed, and the fetch failed" \
        "Reasons above. The package signature is always checked; there is no switch to skip it."
}

[ -z "${VP_NATS_SERVER:-}" ] || use_named
use_installed
fetch
