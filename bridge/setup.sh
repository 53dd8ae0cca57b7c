#!/bin/sh
# Finds a PostgreSQL for the tests, or fetches one into .tools/ of this checkout.
#
# The last line of stdout is the directory of `initdb` and `postgres`; all else goes to stderr.
# Nothing outside the checkout is written and no root is needed: the fetch uses a private apt
# state, the sources that this machine's apt already uses, and this machine's keys. Running it
# again costs milliseconds. The tests start servers of their own; an installed one is not touched.
#
#   VP_POSTGRES_BIN=/path/to/bin   use the programs in this directory and no others

set -eu

needed=15

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/deploy/setup/apt.sh"
begin_setup "$root"
fetched="$tools/postgresql"

give_up() {
    say "setup: no PostgreSQL $needed or newer: $1"
    say ""
    say "Ways to get one (any of them, then run the same command again):"
    say "  - install your distribution's PostgreSQL server (Debian: postgresql); its service may stay off"
    say "  - set VP_POSTGRES_BIN=/path/to/the/directory/of/initdb/and/postgres"
    exit 1
}

# Prints the major version of the programs in $1; fails if they do not run.
version_in() {
    "$1/initdb" --version >/dev/null 2>&1 || return 1
    "$1/postgres" --version 2>/dev/null | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p' | grep .
}

# Ends the script with success if the programs in $1 can be used.
use_if_good() {
    [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 0
    if ! found=$(version_in "$1"); then
        say "setup: passing over $1: its programs do not run here"
    elif [ "$found" -lt "$needed" ]; then
        say "setup: passing over $1: it is version $found, $needed is needed"
    else
        say "setup: PostgreSQL $found in $1"
        printf '%s\n' "$1"
        exit 0
    fi
}

use_installed() {
    use_if_good "$fetched/bin"
    old_ifs=$IFS
    IFS=:
    for dir in $PATH; do
        IFS=$old_ifs
        [ -z "$dir" ] || use_if_good "$dir"
    done
    IFS=$old_ifs
    # Where Debian has them, outside of PATH; the newest first.
    for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5,5nr); do
        use_if_good "$dir"
    done
}

# The libraries that $1 needs. The compiler for queries is not used: the tests turn it off.
libraries_of() { packages_of "$1" | grep '^lib' | grep -v '^libllvm'; }

fetch_into_tree() {
    private_apt apt-get update >>"$work/log" || return 1
    package=$(private_apt apt-cache depends postgresql | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)
    [ -n "$package" ] || return 1
    say "setup: fetching $package into $fetched (about 20 MB; the system is not touched)"
    wanted=$package
    for library in $(libraries_of "$package"); do
        is_installed "$library" || wanted="$wanted $library"
    done
    # shellcheck disable=SC2086 # A list of names.
    unpack_into "$work/tree" $wanted
}

# A program that finds its libraries in the tree, wherever the checkout is.
wrap() {
    cat >"$work/bin/$1" <<WRAPPER
#!/bin/sh
here=\$(CDPATH='' cd -- "\$(dirname -- "\$0")/.." && pwd -P)
export LD_LIBRARY_PATH="\$here/usr/lib/$(library_dir)\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
exec "\$here/usr/lib/postgresql/$2/bin/$1" "\$@"
WRAPPER
    chmod 755 "$work/bin/$1"
}

# The directory of libraries, such as x86_64-linux-gnu.
library_dir() { (cd "$work/tree/usr/lib" && ls -d ./*-linux-gnu* 2>/dev/null | head -n 1 | cut -c3-) ; }

fetch() {
    need_programs apt-get apt-cache dpkg
    begin_fetch
    if ! fetch_into_tree; then
        apt_said
        give_up "none is installed, and the fetch failed (apt's words above)"
    fi
    version=$(ls "$work/tree/usr/lib/postgresql" | head -n 1)
    mkdir -p "$work/bin"
    wrap initdb "$version"
    wrap postgres "$version"
    mv -- "$work/bin" "$work/tree/bin"
    chmod 755 "$work/tree"
    rm -rf -- "$fetched"
    mv -- "$work/tree" "$fetched"
    use_if_good "$fetched/bin"
    give_up "the package that was fetched does not run on this machine"
}

if [ -n "${VP_POSTGRES_BIN:-}" ]; then
    use_if_good "$VP_POSTGRES_BIN"
    give_up "VP_POSTGRES_BIN names \`$VP_POSTGRES_BIN\`, which cannot be used"
fi
use_installed
fetch
