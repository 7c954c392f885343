#!/bin/sh
# Copy what an installation keeps, while it runs: deploy/backup.sh STORE BLOBS TARGET
#
# STORE is the folder of Valkey or Redis (7.2 and later), with its append-only files in appendonlydir; BLOBS that of the
# models, images and maps. TARGET gets both, laid out as the data folder of `erfscope up`. A TARGET that has an earlier
# copy is brought up to date.
set -eu
umask 077
[ $# = 3 ] || { echo "usage: $0 STORE BLOBS TARGET" >&2; exit 2; }
store=$1/appendonlydir blobs=$2
mkdir -p "$3/valkey" "$3/blobs"
target=$(cd "$3" && pwd)
manifest=appendonly.aof.manifest

# The manifest names the files that belong together. Copied before them, it describes a moment at which the store was
# whole. A rewrite of the file may remove one of them meanwhile, as a sweep may remove a blob; then it is tried again.
copy_store() {
    new=$target/valkey/appendonlydir.new
    rm -rf "$new" && mkdir "$new" && cp "$store/$manifest" "$new" &&
        awk '$6 != "h" { print $2 }' "$new/$manifest" | (cd "$store" && while read -r file; do cp "$file" "$new" || exit 1; done) &&
        rm -rf "$target/valkey/appendonlydir" && mv "$new" "$target/valkey/appendonlydir"
}

copy_blobs() {
    # Folders by the first two digits of the sha256, and the id by which a worker knows that it has the service's files.
    # Beside these are files that are just being written.
    for part in "$blobs"/?? "$blobs/store-id"; do
        [ ! -e "$part" ] || cp -Rpu "$part" "$target/blobs" || return 1
    done
}

repeat() {
    for _ in 1 2 3 4 5; do
        if "$1"; then return; fi
        sleep 1
    done
    echo "$0: $1 failed five times" >&2
    exit 1
}

repeat copy_store
repeat copy_blobs # afterwards: a record that was copied has its blobs, which were written before it

# The time of the last complete copy, which the service shows as erfscope_backup_age_seconds.
touch "$blobs/backed-up" 2>/dev/null ||
    echo "$0: the copy is complete, but $blobs cannot be written, so /metrics does not tell of it" >&2
