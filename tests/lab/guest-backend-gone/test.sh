#!/bin/bash
# The back end of our guest's disk goes away under writes from four vCPUs. If it means to come back, the guest closes,
# asks for it and goes on, and no block is lost. If the disk is taken away, the writers end with an error and the
# guest lives. And if nobody answers any more, the guest still powers off as it is told to.
# timeout: 240
. ./lib.sh

cleanup() {
    systemctl start duet-block
}

one=$(image one.img 8M)
two=$(image two.img 8M)
guest left "vcpus = 4" "memory = 48" "disk = [ $(disk "$one"), $(disk "$two" xvdb) ]" "on_poweroff = 'destroy'"
wait_prompt left
wait_line left 'xvda: [0-9]+ MiB' > /dev/null
wait_line left 'xvdb: [0-9]+ MiB' > /dev/null
id=$(xl domid left)
back=/local/domain/0/backend/vbd/$id

type_to left 'journal start xvda'
journal_grows left
for round in 1 2 3; do
    say "it goes and comes, round $round"
    new_log left
    xenstore-write "$back/51712/state" 5
    wait_line left 'xvda: back end of domain 0 went away, waiting for another' > /dev/null
    wait_line left 'xvda: 8 MiB, .* served by domain 0' > /dev/null
    journal_grows left
done
journal_ends left "$one"

say "taken away under its writers"
type_to left 'journal start xvdb'
# shellcheck disable=SC2034  # journal_grows reads it
JOURNALED=()
journal_grows left
new_log left
disk_detach left xvdb
wait_line left 'xvdb: detached' > /dev/null
ask left 'journal stop' '^journal: stopped: .* [1-9][0-9]* wrong' > /dev/null

say "told to end while nobody answers"
ask left 'dd if=pattern:1 of=xvda bs=64k count=1' 'copied|bytes' > /dev/null
systemctl stop duet-block
new_log left
xl shutdown left
wait_line left 'xvda: not flushed: its back end does not answer' > /dev/null
wait_line left 'Power off\.' > /dev/null
wait_end left 120
