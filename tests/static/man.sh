#!/bin/bash
# mandoc finds nothing in any man page. Pages that the build fills in (*.in) are read as they are.
set -euo pipefail
git ls-files -z 'docs/*.[1-9]' 'docs/*.[1-9].in' | xargs -0 --no-run-if-empty mandoc -T lint -W warning
