#!/bin/sh
# An example lane: formats and checks a git repository. Runs as the `command` executor of vp.coder.primary.
#
#   gets    $VP_CONSTRAINT_REPO, the absolute path of the repository; the current directory is the attempt's own
#   leaves  changes.patch (what was asked for), proven to apply with `git apply` at the repository's HEAD, or
#           review.md where nothing is to be changed; and check.log
#   says    JSON lines on stdout: {"vp":"progress"|"deliverable"|"summary", ...}; anything else there is log
#   ends    0 done, 78 the repository is missing or none, 1 anything else, always with a reason on stderr
#
# It works in a clone inside the attempt's own directory, which is removed at the end, and only reads the repository.
# Needs git, awk, xargs and a sed with -i; formats Rust if cargo is there. (cargo obeys the repository's own toolchain
# file and configuration: give it repositories that you would build.)
set -eu

export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_LFS_SKIP_SMUDGE=1 GIT_OPTIONAL_LOCKS=0
# Formatting must not fetch anything.
export CARGO_NET_OFFLINE=true RUSTUP_AUTO_INSTALL=0
# A git hook that started us would point git at another repository.
# shellcheck disable=SC2046
unset $(git rev-parse --local-env-vars)

# What is cleaned: sources, where white space at a line's end means nothing. Data, patches and snapshots are not.
SOURCES='*.rs *.go *.py *.js *.mjs *.cjs *.jsx *.ts *.tsx *.java *.kt *.scala *.c *.h *.cc *.cpp *.cxx *.hpp *.hh *.swift
    *.rb *.php *.pl *.lua *.ex *.exs *.erl *.hs *.zig *.dart *.jl *.sh *.bash *.zsh *.sql *.html *.css *.scss *.less
    *.vue *.svelte *.json *.yaml *.yml *.toml *.proto *.graphql *.tf *.nix *.cmake *.mk Makefile */Makefile
    Dockerfile */Dockerfile .gitignore */.gitignore .gitattributes .editorconfig'
# In these two spaces at a line's end are a line break.
PROSE='*.md *.markdown'
# Not ours to change, or wrong on purpose; nor is what a tool has minified.
ELSEWHERE='vendor third_party node_modules testdata fixtures snapshots'

die() {
    printf 'coder.sh: %s\n' "$2" >&2
    exit "$1"
}

# Text for a JSON string.
json() {
    printf '%s' "$1" | tr -d '\000-\037\177' | sed 's/["\\]/\\&/g'
}

progress() {
    printf '{"vp":"progress","text":"%s"}\n' "$(json "$1")"
}

deliverable() {
    printf '{"vp":"deliverable","path":"%s","category":"%s"}\n' "$1" "$2"
}

summary() {
    printf '{"vp":"summary","text":"%s"}\n' "$(json "$1")"
}

# A number with its noun.
count() {
    if [ "$1" -eq 1 ]; then printf '1 %s' "$2"; else printf '%d %ss' "$1" "$2"; fi
}

log() {
    printf '%s\n' "$1" >>check.log
}

# git in the clone, deaf to the user's taste; globs are off so that the lists above reach git as they are.
in_clone() {
    git -C "$scratch/clone" -c core.quotePath=false -c core.autocrlf=false -c core.safecrlf=false -c color.ui=false "$@"
}

# The text files of the kinds $1 with a line that matches $2, ended by NUL; links and binary files are not text.
texts() {
    set -f
    # shellcheck disable=SC2046,SC2086
    in_clone grep -I -l -z -E -e "$2" -- $1 $(
        for dir in $ELSEWHERE; do printf ' :(exclude,glob)**/%s/**' "$dir"; done
        printf ' :(exclude,glob)**/*.min.*'
    ) || [ $? -eq 1 ] || die 1 'git cannot list the files of the clone'
    set +f
}

# Those of the listed files that do not end with a line break; tail gives one byte for each, in order.
unended() {
    [ -s "$1" ] || return 0
    (cd "$scratch/clone" && xargs -0 tail -q -c 1 -- <"$1") | od -A n -v -t u1 | tr -s ' ' '\n' | sed '/^$/d' >"$scratch/ends"
    tr '\000\012' '\012\001' <"$1" | paste -d ' ' "$scratch/ends" - | sed -n '/^10 /!s/^[0-9]* //p' | tr '\012\001' '\000\012'
}

# Runs the sed script $2 on the listed files.
rewrite() {
    [ -s "$1" ] || return 0
    (cd "$scratch/clone" && xargs -0 sed -i -e "$2" -- <"$1") || die 1 'sed cannot rewrite the files of the clone'
}

given=${VP_CONSTRAINT_REPO:-}
[ -n "$given" ] || die 78 'no repository was given: dispatch with the constraint `repo`, an absolute path'
[ -d "$given" ] || die 78 "the repository \`$given\` is no directory on this host"
repo=$(CDPATH='' cd -P -- "$given" && pwd -P) || die 78 "the repository \`$given\` cannot be entered"
# The repository itself, not one that happens to be around it.
GIT_CEILING_DIRECTORIES=$(dirname -- "$repo")
export GIT_CEILING_DIRECTORIES
why=$(git -C "$repo" rev-parse --git-dir 2>&1) || die 78 "\`$repo\` is not a git repository: $why"
name=$(basename -- "$repo" .git)
: >check.log

if ! head=$(git -C "$repo" rev-parse --quiet --verify 'HEAD^{commit}'); then
    log "$name has no commit yet: nothing to format, nothing to check"
    printf '# Review of %s\n\nThe repository has no commit yet, so there is nothing to format or check.\n' "$name" >review.md
    deliverable review.md primary_work_product
    deliverable check.log supporting_artifact
    summary "$name has no commit yet: nothing to format"
    exit 0
fi
short=$(printf '%.12s' "$head")

out=$(pwd -P)
scratch=$(mktemp -d "$out/.coder.XXXXXX") || die 1 'no working directory can be made'
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

progress "cloning $name at $short"
why=$(git -c core.hooksPath=/dev/null -c core.autocrlf=false clone --quiet --no-local --depth=1 --no-tags --template= \
    -- "$repo" "$scratch/clone" 2>&1) || die 1 "\`$repo\` cannot be cloned: $why"
# Between our look and the clone somebody may have committed.
in_clone checkout --quiet --detach "$head" 2>"$scratch/err" || die 1 "$short is not in the clone: $(cat "$scratch/err")"
log "clone of $repo at $head"

progress 'cleaning white space and line ends'
cr=$(printf '\r')
texts "$SOURCES" "[[:blank:]$cr]\$" >"$scratch/list"
rewrite "$scratch/list" "s/[[:blank:]$cr]*\$//"
texts "$PROSE" "$cr\$" >"$scratch/list"
rewrite "$scratch/list" "s/$cr\$//"
texts "$SOURCES $PROSE" '' >"$scratch/all"
unended "$scratch/all" >"$scratch/list"
rewrite "$scratch/list" '$a\'
looked_at=$(($(tr -cd '\000' <"$scratch/all" | wc -c)))
log "white space: $(count "$looked_at" 'text file') looked at, $(in_clone diff --name-only | wc -l | tr -d ' ') changed"

# True when a link or a path in the sources leads out of the clone, where a formatter would follow it.
leads_out() {
    in_clone grep -q -E 'path *= *"/' -- '*.toml' '*.rs' && return 0
    in_clone ls-files -s -z | tr '\000' '\n' | sed -n 's/^120000 [^	]*	//p' >"$scratch/links"
    while IFS= read -r link; do
        case $(readlink -f -- "$scratch/clone/$link" || true) in
            "$scratch/clone/"*) ;;
            *) return 0 ;;
        esac
    done <"$scratch/links"
    return 1
}

formatter='not used'
if [ -f "$scratch/clone/Cargo.toml" ]; then
    if ! command -v cargo >/dev/null 2>&1; then
        formatter='skipped, cargo is not installed'
    elif leads_out; then
        formatter='skipped, a path leads out of the repository'
    else
        progress 'formatting Rust'
        if (cd "$scratch/clone" && timeout 120 cargo fmt) >"$scratch/fmt" 2>&1; then
            formatter='done'
        else
            formatter='failed, see below'
            sed 's/^/    /' "$scratch/fmt" | head -n 50 >"$scratch/fmt.log"
        fi
    fi
fi
log "cargo fmt: $formatter"
[ ! -f "$scratch/fmt.log" ] || cat "$scratch/fmt.log" >>check.log

progress 'checking'
texts '*.sh *.bash' '' >"$scratch/scripts"
# Each by the shell that its first line asks for.
[ ! -s "$scratch/scripts" ] || (cd "$scratch/clone" && xargs -0 sh -c '
    for file do
        read -r first <"$file" || true
        case $first in
            "#!"*bash*) shell=bash ;;
            "#!"*zsh* | "#!"*fish* | "#!"*ksh*) shell="" ;;
            *) shell=sh ;;
        esac
        case $file in *.bash) shell=bash ;; esac
        if [ -z "$shell" ] || ! command -v "$shell" >/dev/null 2>&1; then
            printf "skip %s: its shell is not here\n" "$file"
        elif why=$("$shell" -n "./$file" 2>&1); then
            printf "ok   %s\n" "$file"
        else
            printf "FAIL %s: %s\n" "$file" "$why"
        fi
    done' sh <"$scratch/scripts") >"$scratch/scripts.log" || die 1 'the shell scripts cannot be checked'
[ -f "$scratch/scripts.log" ] || : >"$scratch/scripts.log"
in_clone grep -I -n -E '^(<<<<<<<|>>>>>>>) ' >"$scratch/conflicts" || [ $? -eq 1 ] || die 1 'git cannot search the clone'
parsed=$(grep -c '^ok ' "$scratch/scripts.log" || true)
broken=$(grep -c '^FAIL ' "$scratch/scripts.log" || true)
conflicts=$(($(wc -l <"$scratch/conflicts")))
log "shell scripts: $parsed parse, $broken do not"
sed 's/^/    /' "$scratch/scripts.log" >>check.log
log "lines that look like a conflict left in: $conflicts"
sed 's/^/    FAIL /' "$scratch/conflicts" | cut -c 1-200 >>check.log
checks="$(count "$((parsed + broken))" 'shell script') checked, $broken broken"
[ "$conflicts" -eq 0 ] || checks="$checks, $(count "$conflicts" 'conflict marker')"

# Prefixes and context are spelled out because the user's configuration may change them.
in_clone diff --no-color --no-ext-diff --no-textconv --no-renames --binary --full-index --unified=3 \
    --src-prefix=a/ --dst-prefix=b/ >"$scratch/changes.patch" || die 1 'git cannot write the patch'

if [ ! -s "$scratch/changes.patch" ]; then
    log 'result: nothing to change'
    {
        printf '# Review of %s\n\nAt commit `%s`.\n\n' "$name" "$short"
        printf 'Nothing needs to be changed, so there is no patch.\n\n'
        printf -- '- White space and line ends: %s looked at.\n' "$(count "$looked_at" 'text file')"
        printf -- '- cargo fmt: %s.\n' "$formatter"
        printf -- '- Checks: %s.\n' "$checks"
        printf '\nDetails are in `check.log`.\n'
    } >review.md
    deliverable review.md primary_work_product
    deliverable check.log supporting_artifact
    summary "$name at $short is clean, so there is no patch: $(count "$looked_at" file) looked at, $checks"
    exit 0
fi

progress 'proving that the patch applies'
in_clone worktree add --quiet --detach "$scratch/fresh" "$head" 2>"$scratch/err" ||
    die 1 "$short cannot be checked out again: $(cat "$scratch/err")"
fresh() {
    git -C "$scratch/fresh" -c core.autocrlf=false -c core.safecrlf=false "$@"
}
fresh apply --check --whitespace=nowarn "$scratch/changes.patch" 2>"$scratch/err" ||
    die 1 "the patch does not apply at $short: $(cat "$scratch/err")"
fresh apply --index --whitespace=nowarn "$scratch/changes.patch"
in_clone add --update
[ "$(fresh write-tree)" = "$(in_clone write-tree)" ] || die 1 'the patch applies, but gives other files than the clone has'

mv "$scratch/changes.patch" changes.patch
in_clone diff --cached --numstat --no-renames >"$scratch/stat"
files=$(($(wc -l <"$scratch/stat")))
lines=$(awk '{ added += $1; removed += $2 } END { printf "+%d -%d lines", added, removed }' "$scratch/stat")
log "result: changes.patch, $(count "$files" file), $lines; applies at $head"
sed 's/^/    /' "$scratch/stat" >>check.log
deliverable changes.patch primary_work_product
deliverable check.log supporting_artifact
summary "$(count "$files" file) changed in $name at $short ($lines): changes.patch applies with git apply; $checks"
