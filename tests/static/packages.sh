#!/bin/bash
# The Debian packages can be made of the release build, and lintian finds nothing in them. usage: packages.sh BUILD-FOLDER
set -euo pipefail
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

if ! (cd "$1" && cpack -B "$out") > "$out/log" 2>&1; then
    cat "$out/log" >&2
    exit 1
fi
for package in backends guest tools driver-domain doc; do
    [ "$(find "$out" -maxdepth 1 -name "duet-${package}_*.deb" | wc -l)" = 1 ] || {
        echo "no package duet-$package" >&2
        exit 1
    }
done
lintian --version > /dev/null
found=$(lintian --allow-root --tag-display-limit 0 --info "$out"/*.deb) || [ -n "$found" ]
if [ -n "$found" ]; then
    echo "$found"
    exit 1
fi
