#!/bin/bash
# cppcheck finds nothing: warnings, performance, portability.
# usage: cppcheck.sh BUILD-FOLDER
set -euo pipefail

# Not findings, because cppcheck 2.10 misreads what the compilers and clang-tidy check as well:
# unknownMacro (its parser gives up), uninitvar (values that inline assembly or a callee writes),
# va_end_missing (a freestanding va_end), comparePointers (symbols of the linker script).
exec cppcheck --project="$1/compile_commands.json" -j "$(nproc)" --quiet --inline-suppr \
    --enable=warning,performance,portability --error-exitcode=1 \
    --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=uninitvar \
    --suppress=va_end_missing --suppress=comparePointers --suppress='*:/usr/*' \
    --suppress='*:*/build/*' --template='{file}:{line}: {severity}: {message} [{id}]'
