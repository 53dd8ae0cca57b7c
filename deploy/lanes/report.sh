#!/bin/sh
# An example lane: a report on a git repository. Runs as the `command` executor of vp.general.primary.
#
#   gets    $VP_CONSTRAINT_REPO, the absolute path of the repository; the current directory is the attempt's own
#   leaves  report.md (what was asked for) and tables/*.tsv (all rows behind it)
#   says    JSON lines on stdout: {"vp":"progress"|"deliverable"|"summary", ...}; anything else there is log
#   ends    0 done, 78 the repository is missing or none, 1 anything else, always with a reason on stderr
#
# It reads the last commit, never the work tree, and changes nothing in the repository. Needs git, awk, sort.
set -eu

# Bytes, so that sizes, orders and odd file names are the same everywhere.
export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_NO_LAZY_FETCH=1 GIT_OPTIONAL_LOCKS=0
# A git hook that started us would point git at another repository.
# shellcheck disable=SC2046
unset $(git rev-parse --local-env-vars)

TOP=15            # rows of a table in the report; all rows are in tables/
HISTORY=1000      # commits looked at for the most changed files
TODOS=5000        # open TODOs kept

die() {
    printf 'report.sh: %s\n' "$2" >&2
    exit "$1"
}

# Text for a JSON string.
json() {
    printf '%s' "$1" | utf8 | tr -d '\000-\037\177' | sed 's/["\\]/\\&/g'
}

progress() {
    printf '{"vp":"progress","text":"%s"}\n' "$(json "$1")"
}

deliverable() {
    printf '{"vp":"deliverable","path":"%s","category":"%s"}\n' "$1" "$2"
}

# A number with its noun.
count() {
    if [ "$1" -eq 1 ]; then printf '1 %s' "$2"; else printf '%d %ss' "$1" "$2"; fi
}

# Old files hold old encodings; what we write is UTF-8.
utf8() {
    if command -v iconv >/dev/null 2>&1; then
        iconv -c -f UTF-8 -t UTF-8 2>/dev/null || true
    else
        tr -cd '\011\012\040-\176'
    fi
}

# The first $TOP rows of a table as Markdown; $1 the file, $2 the columns' names.
markdown() {
    awk -F '\t' -v top="$TOP" -v names="$2" '
        function cell(text) { gsub(/[|]/, "\\|", text); gsub(/</, "\\&lt;", text); return text }
        function row(fields, n,   i, line) {
            line = "|"
            for (i = 1; i <= n; i++) line = line " " cell(fields[i]) " |"
            return line
        }
        BEGIN {
            n = split(names, head, ",")
            print row(head, n)
            line = "|"
            for (i = 1; i <= n; i++) line = line " --- |"
            print line
        }
        NR > 1 && NR <= top + 1 { split($0, fields, "\t"); print row(fields, n) }
        END { if (NR - 1 > top) printf "\n%d more in the table.\n", NR - 1 - top }
    ' "$1"
}

given=${VP_CONSTRAINT_REPO:-}
[ -n "$given" ] || die 78 'no repository was given: dispatch with the constraint `repo`, an absolute path'
[ -d "$given" ] || die 78 "the repository \`$given\` is no directory on this host"
repo=$(CDPATH='' cd -P -- "$given" && pwd -P) || die 78 "the repository \`$given\` cannot be entered"
# The repository itself, not one that happens to be around it.
GIT_CEILING_DIRECTORIES=$(dirname -- "$repo")
export GIT_CEILING_DIRECTORIES
why=$(git -C "$repo" rev-parse --git-dir 2>&1) || die 78 "\`$repo\` is not a git repository: $why"
cd_git() {
    git -C "$repo" -c core.quotePath=false -c color.ui=false -c grep.lineNumber=false "$@"
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/vp-report.XXXXXX") || die 1 'no temporary directory can be made'
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir -p tables
name=$(basename -- "$repo" .git)

if ! head=$(cd_git rev-parse --quiet --verify 'HEAD^{commit}'); then
    {
        printf '# Report on %s\n\n' "$name"
        printf 'The repository has no commit yet, so there is nothing to report on.\n'
    } | utf8 >report.md
    deliverable report.md primary_work_product
    printf '{"vp":"summary","text":"%s has no commit yet"}\n' "$(json "$name")"
    exit 0
fi

progress "reading the files of $name"
cd_git ls-tree -r -l --full-tree "$head" >"$scratch/tree" || die 1 'git cannot list the files'
# Sizes and paths. Links and submodules are no files; git puts odd names in quotes.
awk -F '\t' '{ split($1, f, " "); if (f[1] ~ /^100/) print f[4] "\t" $2 }' "$scratch/tree" |
    sort -t '	' -k1,1nr -k2 >"$scratch/sizes"
{ printf 'bytes\tpath\n'; cat "$scratch/sizes"; } | utf8 >tables/files.tsv

awk -F '\t' '
    BEGIN {
        n = split("rs Rust,go Go,py Python,js JavaScript,mjs JavaScript,cjs JavaScript,jsx JavaScript,ts TypeScript," \
            "tsx TypeScript,java Java,kt Kotlin,kts Kotlin,scala Scala,c C,h C,cc C++,cpp C++,cxx C++,hpp C++,hh C++," \
            "cs C#,swift Swift,rb Ruby,php PHP,pl Perl,pm Perl,lua Lua,ex Elixir,exs Elixir,erl Erlang,hs Haskell," \
            "ml OCaml,clj Clojure,zig Zig,nim Nim,dart Dart,r R,jl Julia,sh Shell,bash Shell,zsh Shell,fish Shell," \
            "ps1 PowerShell,sql SQL,html HTML,htm HTML,css CSS,scss CSS,sass CSS,less CSS,vue Vue,svelte Svelte," \
            "md Markdown,markdown Markdown,rst reStructuredText,adoc AsciiDoc,tex TeX,txt Text,json JSON,jsonl JSON," \
            "yaml YAML,yml YAML,toml TOML,xml XML,ini INI,cfg INI,csv CSV,tsv CSV,proto Protobuf,graphql GraphQL," \
            "tf Terraform,nix Nix,cmake CMake,mk Make,lock Lockfile,svg SVG,png Image,jpg Image,jpeg Image,gif Image," \
            "webp Image,ico Image,pdf PDF,woff Font,woff2 Font,ttf Font,otf Font,gz Archive,zip Archive,xz Archive", list, ",")
        for (i = 1; i <= n; i++) {
            space = index(list[i], " ")
            known[substr(list[i], 1, space - 1)] = substr(list[i], space + 1)
        }
    }
    {
        path = $2
        sub(/"$/, "", path)
        sub(/.*\//, "", path)
        lower = tolower(path)
        if (lower ~ /^(gnu)?makefile$/) language = "Make"
        else if (lower ~ /^(dockerfile|containerfile)/) language = "Dockerfile"
        else if (match(lower, /.\.[^.]+$/)) {
            extension = substr(lower, RSTART + 2)
            language = (extension in known) ? known[extension] : "." extension
        } else language = "(no extension)"
        files[language]++
        bytes[language] += $1
        total += $1
    }
    END {
        for (language in files)
            printf "%s\t%d\t%d\t%.1f %%\n", language, files[language], bytes[language], total ? 100 * bytes[language] / total : 0
    }
' "$scratch/sizes" | sort -t '	' -k3,3nr -k1 >"$scratch/languages"
{ printf 'language\tfiles\tbytes\tshare\n'; cat "$scratch/languages"; } | utf8 >tables/languages.tsv

progress 'reading the history'
cd_git log --no-show-signature --format='%cs%x09%aN' "$head" >"$scratch/commits" || die 1 'git cannot read the history'
awk -F '\t' '{ commits[$2]++; if (!($2 in last)) last[$2] = $1 }
    END { for (author in commits) printf "%s\t%d\t%s\n", author, commits[author], last[author] }
' "$scratch/commits" | sort -t '	' -k2,2nr -k1 >"$scratch/authors"
{ printf 'author\tcommits\tlast\n'; cat "$scratch/authors"; } | utf8 >tables/authors.tsv

cd_git log --no-show-signature --no-renames --no-ext-diff --no-textconv --ignore-submodules -n "$HISTORY" \
    --format= --name-only "$head" >"$scratch/changes" || die 1 'git cannot compare the commits'
# Only files that are still there.
awk -F '\t' '
    FNR == NR { there[$2] = 1; next }
    $0 in there { changes[$0]++ }
    END { for (path in changes) printf "%s\t%d\n", path, changes[path] }
' "$scratch/sizes" "$scratch/changes" | sort -t '	' -k2,2nr -k1 >"$scratch/changed"
{ printf 'path\tcommits\n'; cat "$scratch/changed"; } | utf8 >tables/changed.tsv

progress 'looking for open TODOs'
found=0
cd_git grep --no-color --full-name -n -z -I -w -E 'TODO|FIXME|XXX' "$head" >"$scratch/grep" 2>"$scratch/grep.err" || found=$?
[ "$found" -le 1 ] || die 1 "git cannot search the files: $(cat "$scratch/grep.err")"
# `<commit>:<path> NUL <line> NUL <text>`; a path with a line break comes in several lines.
tr '\000\011' '\001 ' <"$scratch/grep" | awk -v skip=$((${#head} + 2)) '
    {
        line = held $0
        first = index(line, "\001")
        if (!first) { held = line "?"; next }
        held = ""
        rest = substr(line, first + 1)
        second = index(rest, "\001")
        text = substr(rest, second + 1)
        gsub(/[\001-\037]/, " ", text)
        sub(/^ +/, "", text)
        if (length(text) > 160) text = substr(text, 1, 157) "..."
        print substr(line, skip, first - skip) "\t" substr(rest, 1, second - 1) "\t" text
    }
' >"$scratch/todos"
{ printf 'path\tline\ttext\n'; sed "${TODOS}q" "$scratch/todos"; } | utf8 >tables/todos.tsv
awk -F '\t' '{ print $1 ":" $2 "\t" $3 }' tables/todos.tsv >"$scratch/todo_rows"

progress 'writing the report'
files=$(($(wc -l <"$scratch/sizes")))
bytes=$(awk '{ sum += $1 } END { printf "%.0f", sum }' "$scratch/sizes")
size=$(awk -v b="$bytes" 'BEGIN { split("bytes KiB MiB GiB", u, " "); i = 1; while (b >= 1024 && i < 4) { b /= 1024; i++ }
    printf i == 1 ? "%d %s" : "%.1f %s", b, u[i] }')
commits=$(($(wc -l <"$scratch/commits")))
authors=$(($(wc -l <"$scratch/authors")))
todos=$(($(wc -l <"$scratch/todos")))
newest=$(sed -n 's/	.*//;1p' "$scratch/commits")
oldest=$(sed -n 's/	.*//;$p' "$scratch/commits")
shallow=$(cd_git rev-parse --is-shallow-repository)
{
    printf '# Report on %s\n\n' "$name"
    printf 'At commit `%s` of %s.\n\n' "$(printf '%.12s' "$head")" "$newest"
    printf -- '- %s, %s\n' "$(count "$files" file)" "$size"
    printf -- '- %s by %s, %s to %s\n' "$(count "$commits" commit)" "$(count "$authors" author)" "$oldest" "$newest"
    printf -- '- %s\n' "$(count "$todos" 'open TODO')"
    if [ "$shallow" = true ]; then
        printf '\nThis is a shallow clone: older history is missing, and so are its authors and changes.\n'
    fi
    printf '\n## Languages\n\n'
    markdown tables/languages.tsv 'Language,Files,Bytes,Share'
    printf '\n## Largest files\n\n'
    markdown tables/files.tsv 'Bytes,File'
    printf '\n## Most changed files\n\nIn the last %s.\n\n' \
        "$(count "$((commits < HISTORY ? commits : HISTORY))" commit)"
    markdown tables/changed.tsv 'File,Commits'
    printf '\n## Authors\n\n'
    markdown tables/authors.tsv 'Author,Commits,Last'
    printf '\n## Open TODOs\n\n'
    if [ "$todos" -gt 0 ]; then
        TOP=50 && markdown "$scratch/todo_rows" 'Where,What'
    else
        printf 'None.\n'
    fi
} | utf8 >report.md

deliverable report.md primary_work_product
for table in languages files changed authors todos; do
    deliverable "tables/$table.tsv" supporting_artifact
done
main=$(sed -n 's/	.*//;1p' "$scratch/languages")
printf '{"vp":"summary","text":"%s"}\n' "$(json \
    "$name: $(count "$files" file) ($size, mostly ${main:-nothing}), $(count "$commits" commit) by $(
        count "$authors" author), $(count "$todos" 'open TODO')")"
