#!/bin/bash
# Every C file is laid out as .clang-format says. To repair: clang-format -i FILE
set -euo pipefail
git ls-files -z '*.c' '*.h' | xargs -0 --no-run-if-empty clang-format --dry-run -Werror
