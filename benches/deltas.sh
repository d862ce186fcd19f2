#!/bin/sh
# Deltas between files, by lob, rdiff and xdelta3, on the same files in one run: the table of
# docs/deltas.md. Needs GNU time, zstd, rdiff and xdelta3 (Debian: time zstd rdiff xdelta3).
#
#   benches/deltas.sh target/release/lob [OLD NEW]...
#
# Besides the pairs that are named, 1 GiB of random bytes with 4 KiB inserted at a place that is a
# multiple of every block and at one that is of none, with 103 blocks of 4 KiB overwritten, and another
# GiB. LOB_BENCH_MIB=64 makes them smaller. Everything that is made is applied and compared. What is
# made is made in a directory of TMPDIR, which should not be on a slow disk.
set -eu

lob=$(realpath "$1")
shift
mib=${LOB_BENCH_MIB:-1024}
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT INT TERM

# Runs a program; its seconds and MB of memory go to the file that is named first.
timed() {
    told=$1
    shift
    command time -f '%e %M' -o "$at/time" "$@"
    awk '{ printf "%.2f s, %d MB\n", $1, $2 / 1024 }' "$at/time" >"$at/$told"
}

size() {
    wc -c <"$1" | tr -d ' '
}

applied() {
    cmp "$at/made" "$1" || { echo "$2 made another file" >&2; exit 1; }
    rm "$at/made"
}

# One row: NAME OLD NEW [SKIP]. xdelta3 takes half an hour for a GiB that is like nothing, so there it is
# left out.
row() {
    cat "$2" "$3" >/dev/null
    timed files "$lob" -q delta "$2" "$3" -o "$at/d"
    timed files-patch "$lob" -q patch "$2" "$at/d" -o "$at/made"
    applied "$3" lob
    files=$(size "$at/d")
    rm "$at/d"

    timed signature "$lob" -q signature "$2" -o "$at/s"
    timed delta "$lob" -q delta "$at/s" "$3" -o "$at/d"
    timed patch "$lob" -q patch "$2" "$at/d" -o "$at/made"
    applied "$3" lob
    ours="$(size "$at/s") + $(size "$at/d")"
    rm "$at/s" "$at/d"

    timed rdiff-signature rdiff signature "$2" "$at/s"
    timed rdiff-delta rdiff delta "$at/s" "$3" "$at/d"
    timed rdiff-patch rdiff patch "$2" "$at/d" "$at/made"
    applied "$3" rdiff
    theirs="$(size "$at/s") + $(size "$at/d")"
    packed=$(zstd -3 -q -c "$at/d" | wc -c | tr -d ' ')
    rm "$at/s" "$at/d"

    echo "$1"
    echo "  lob, both files:  $files bytes in $(cat "$at/files"); patch $(cat "$at/files-patch")"
    echo "  lob, signature:   $ours bytes in $(cat "$at/signature") + $(cat "$at/delta");" \
        "patch $(cat "$at/patch")"
    echo "  rdiff:            $theirs bytes ($packed by zstd -3)" \
        "in $(cat "$at/rdiff-signature") + $(cat "$at/rdiff-delta"); patch $(cat "$at/rdiff-patch")"
    [ $# -lt 4 ] || return 0
    timed xdelta xdelta3 -e -s "$2" "$3" "$at/d"
    echo "  xdelta3:          $(size "$at/d") bytes in $(cat "$at/xdelta")"
    rm "$at/d"
}

random() {
    head -c "$1" /dev/urandom
}

while [ $# -ge 2 ]; do
    row "$(basename "$1") to $(basename "$2")" "$1" "$2"
    shift 2
done

random $((mib << 20)) >"$at/old"
inserted() {
    head -c "$1" "$at/old"
    random 4096
    tail -c +$(($1 + 1)) "$at/old"
}
inserted $((mib << 19)) >"$at/new"
row "$mib MiB, 4 KiB inserted in the middle" "$at/old" "$at/new"
inserted $(((mib << 19) - 12345)) >"$at/new"
row "$mib MiB, 4 KiB inserted before the middle" "$at/old" "$at/new"
cp "$at/old" "$at/new"
n=0
while [ $n -lt 103 ]; do
    random 4096 | dd of="$at/new" bs=4096 seek=$((n * (mib << 8) / 103)) conv=notrunc status=none
    n=$((n + 1))
done
row "$mib MiB, 103 blocks of 4 KiB overwritten" "$at/old" "$at/new"
random $((mib << 20)) >"$at/new"
row "$mib MiB, another $mib MiB" "$at/old" "$at/new" skip
