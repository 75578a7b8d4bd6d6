#!/bin/bash
# No shell script of the tree has a finding of shellcheck.
set -euo pipefail
git ls-files -z | while read -r -d '' file; do
    if [ -f "$file" ] && head -n 1 "$file" | grep -qaE '^#!/(usr/)?bin/(env )?(ba|da)?sh'; then
        echo "$file"
    fi
done | xargs --no-run-if-empty shellcheck --severity=warning --external-sources --source-path=SCRIPTDIR
