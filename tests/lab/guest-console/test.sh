#!/bin/bash
# Somebody at our guest's console: typing, moving in the line, erasing, history, completion, several
# commands on a line, errors and their words, ^C on the line and on a command that takes long.
# timeout: 240
. ./lib.sh

image=$(image big.img 512M)
guest typist "disk = [ $(disk "$image") ]" "on_poweroff = 'destroy'"
wait_prompt typist
wait_line typist 'xvda: [0-9]+ MiB' > /dev/null
timeout 200 python3 ./typist.py typist || fail "see above what was expected"
wait_end typist
