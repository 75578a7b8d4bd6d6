#!/bin/bash
# No shell script of the tree has a finding of shellcheck. And no test of the lab pipes into `grep -q`: that ends at its first
# match, whoever still writes dies of it, and with pipefail what was found counts as not found, now and then.
set -euo pipefail
if git grep -nE '\| *grep +-[a-zA-Z]*q' -- tests/lab; then
    echo "tests/lab: grep ... > /dev/null reads to the end" >&2
    exit 1
fi
git ls-files -z | while read -r -d '' file; do
    if [ -f "$file" ] && head -n 1 "$file" | grep -qaE '^#!/(usr/)?bin/(env )?(ba|da)?sh'; then
        echo "$file"
    fi
done | xargs --no-run-if-empty shellcheck --severity=warning --external-sources --source-path=SCRIPTDIR
