#!/bin/bash
# The rules of the house that no tool knows: every C file opens with a comment, no note of unfinished
# work is left, every folder of source has a README.md.
set -euo pipefail
status=0
complain() {
    echo "$1"
    status=1
}

while read -r file; do
    head -n 1 "$file" | grep -q '^/\*' || complain "$file: does not open with a comment that tells its purpose"
done < <(git ls-files '*.c' '*.h')

marks='TO''DO|FIX''ME|XX''X'
while read -r hit; do
    complain "$hit: unfinished work"
done < <(git ls-files '*.c' '*.h' '*.S' '*.py' '*.sh' '*.cmake' '*CMakeLists.txt' \
         | xargs grep -nwE "$marks" /dev/null | grep -oE '^[^:]+:[0-9]+' || true)

while read -r folder; do
    [ -f "$folder/README.md" ] || complain "$folder: has no README.md that says what may live there"
done < <(git ls-files '*.c' '*.h' '*.S' | xargs -n 1 dirname | sort -u)
exit $status
