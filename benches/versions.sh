#!/bin/sh
# What versions of a file cost a remote, and what reading them costs: the tables of docs/deltas.md.
# Needs git and GNU time (Debian: time).
#
#   benches/versions.sh target/release/lob OLDEST NEXT...
#
# Each file is added, committed and pushed to a directory as the next version of one file. Then the remote
# is repacked with --deep; its newest and oldest version are read by lob smudge, the best of seven, from a
# store in which all is plain, from the remote as the pushes left it, and as the repack did. At last a file
# of 1 GiB of random bytes has 100 blocks of 4 KiB overwritten, and then 4 KiB inserted. LOB_BENCH_MIB=64
# makes that smaller. Everything that is read is compared. It is done in a directory of TMPDIR.
set -eu

lob=$(realpath "$1")
shift
mib=${LOB_BENCH_MIB:-1024}
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT INT TERM
mkdir "$at/bin"
cp "$lob" "$at/bin/lob"
export PATH="$at/bin:$PATH" GIT_CONFIG_GLOBAL="$at/gitconfig" GIT_CONFIG_NOSYSTEM=1
git config --global user.name Bench
git config --global user.email bench@example.org
git config --global init.defaultBranch main

# A repository NAME with a remote NAME.git, in which the file `file` is a lob.
repository() {
    git init -q --bare "$at/$1.git"
    git init -q "$at/$1"
    cd "$at/$1"
    lob init -q
    lob track -q file >/dev/null
    git remote add origin "$at/$1.git"
    git add -A
    git commit -q -m "Nothing yet"
    git push -q origin main 2>/dev/null
    held=0
}

# Pushes what is in the work tree, and says what the remote holds more.
push() { # push NAME WHAT
    git add -A
    git commit -q -m "$2"
    command time -f '%e s, %U s of user time, %M KiB' -o "$at/time" git push -q origin main 2>/dev/null
    before=$held
    held=$(cat "$at/$1.git"/lob/packs/* | wc -c)
    printf '%-24s %12d bytes   %s\n' "$2" $((held - before)) "$(tail -n 1 "$at/time")"
}

# Reads the lob of a pointer from a store, and says what the quickest of seven times took.
timed() { # timed POINTER STORE CONTENT
    rm -rf "$at/reader"
    git init -q "$at/reader"
    cp -r "$2" "$at/reader/.git/lob"
    cd "$at/reader"
    lob smudge <"$1" | cmp - "$3"
    for _ in 1 2 3 4 5 6 7; do
        begun=$(date +%s%N)
        lob smudge <"$1" >/dev/null
        echo $((($(date +%s%N) - begun) / 1000000))
    done | sort -n | head -n 1
}

read_both() { # read_both WHAT STORE
    printf '%-24s newest %5d ms   oldest %5d ms\n' "$1" \
        "$(timed "$at/pointer-newest" "$2" "$newest")" "$(timed "$at/pointer-oldest" "$2" "$oldest")"
}

if [ $# -gt 0 ]; then
    oldest=$(realpath "$1")
    repository series
    for version in "$@"; do
        newest=$(realpath "$version")
        cp "$newest" "$at/series/file"
        push series "$(basename "$version")"
    done
    printf '%-24s %12d bytes\n' "all $#" "$held"
    git show HEAD:file >"$at/pointer-newest"
    git show "HEAD~$(($# - 1)):file" >"$at/pointer-oldest"
    read_both "all plain" "$at/series/.git/lob"
    read_both "after the pushes" "$at/series.git/lob"
    cd "$at/series"
    command time -f '%e s, %U + %S s of processor time, %M KiB' -o "$at/time" \
        lob repack -q --deep --remote origin
    lob fsck -q --deep --remote origin
    held=$(cat "$at/series.git"/lob/packs/*.pack "$at/series.git"/lob/packs/*.idx | wc -c)
    printf '%-24s %12d bytes   %s\n' "lob repack --deep" "$held" "$(tail -n 1 "$at/time")"
    read_both "after the repack" "$at/series.git/lob"
fi

random() {
    head -c "$1" /dev/urandom
}

repository long
random $((mib << 20)) >file
push long "$mib MiB"
n=0
while [ $n -lt 100 ]; do
    random 4096 | dd of=file bs=4096 seek=$((n * (mib << 8) / 100 + n * n % 97)) conv=notrunc status=none
    n=$((n + 1))
done
push long "100 blocks overwritten"
{
    head -c $((mib << 19)) file
    random 4096
    tail -c +$(((mib << 19) + 1)) file
} >"$at/new"
mv "$at/new" file
push long "4 KiB inserted"
lob fsck -q --deep --remote origin
rm -rf "$at/long/.git/lob"
lob fetch -q
git show HEAD:file | lob smudge | cmp - file
