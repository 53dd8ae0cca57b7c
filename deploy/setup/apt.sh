# What the setup scripts share; sourced by them. Debian packages are fetched and unpacked below .tools/ of this checkout:
# with a private apt state, the sources and the keys of this machine, no root, and nothing outside the checkout.
# shellcheck shell=sh

# Sets `tools`, given the checkout's root; `work` is removed at the end, however that comes.
begin_setup() {
    tools="$1/.tools"
    work=
    trap 'end_setup' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

end_setup() { [ -z "$work" ] || rm -rf -- "$work"; }

say() { printf '%s\n' "$*" >&2; }

# Calls give_up, which the script has, when the programs named are not all here.
need_programs() {
    for program in "$@"; do
        command -v "$program" >/dev/null ||
            give_up "none is installed, and without \`$program\` (not a Debian system) none can be fetched"
    done
}

# Makes `work`, a directory in which a fetch happens.
begin_fetch() {
    umask 022
    mkdir -p "$tools" || give_up "none is installed, and $tools cannot be written"
    work=$(mktemp -d "$tools/fetch.XXXXXX")
    fresh_apt
    : >"$work/log"
}

# Forgets what the private apt knew.
fresh_apt() {
    rm -rf -- "$work/state" "$work/cache"
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
    : >"$work/status"
}

# An apt program with its state in `work`. What it complains of is in the log there.
private_apt() {
    program=$1
    shift
    "$program" -q -o Dir::State="$work/state" -o Dir::State::lists="$work/state/lists" \
        -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o Dir::Log="$work" \
        -o APT::Sandbox::User="$(id -un)" -o APT::Get::List-Cleanup=0 \
        -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= \
        -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=30 "$@" 2>>"$work/log"
}

# Prints the packages that $1 needs, directly or not, itself among them.
packages_of() {
    private_apt apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances "$1" | grep -E '^[a-z0-9][a-z0-9.+-]+$' | grep -v '^libc6$' | sort -u
}

# Downloads the packages named, in one go, and unpacks them into the directory $1.
unpack_into() {
    tree=$1
    shift
    rm -rf -- "$work/deb"
    mkdir -p "$work/deb" "$tree"
    (cd "$work/deb" && private_apt apt-get download "$@" >>"$work/log") || return 1
    for deb in "$work/deb"/*.deb; do
        dpkg -x "$deb" "$tree" || return 1
    done
}

is_installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

# Shows the last complaints of apt.
apt_said() { grep -e '^[EW]:' "$work/log" | tail -n 6 | sed 's/^/    /' >&2 || :; }
