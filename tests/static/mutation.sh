#!/bin/bash
# Each guard of tests/mutation/guards.toml stands exactly once where the table says.
exec tests/mutation/mutate.py --check
