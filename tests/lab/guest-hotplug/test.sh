#!/bin/bash
# Disks come to and go from our running guest: `xl block-attach` makes one appear that works,
# `xl block-detach` takes it away with nothing left behind, another takes its place, and one that is
# being read is taken away under the reader, who gets an error while the guest goes on.
# timeout: 300
. ./lib.sh

one=$(image one.img 8M)
two=$(image two.img 256M)
dd if=/dev/urandom of="$one" bs=1M count=8 conv=notrunc status=none
guest plugged "on_poweroff = 'destroy'"
wait_prompt plugged
id=$(xl domid plugged)

attach plugged
# in_use: how many grant references and KiB of memory the guest has in use.
in_use() {
    new_log plugged
    type_line 'mem; echo mem-''shown'
    wait_line plugged '^mem-shown' > /dev/null
    guest_log plugged | awk '$1 == "memory" { all = $2 } $1 == "free" { free = $2 }
        $1 == "grants" { print $4 - $2, all - free }'
}

read -r grants_before memory_before <<< "$(in_use)"
for round in 1 2; do
    say "round $round"
    new_log plugged
    xl block-attach plugged "$(disk "$one" xvdc | tr -d "'")"
    wait_line plugged 'xvdc: 8 MiB, 512-byte sectors, read-write, served by domain 0' > /dev/null
    type_line 'sha256 xvdc'
    wait_line plugged "$(sha256sum < "$one" | cut -d ' ' -f 1)  xvdc" > /dev/null
    disk_detach plugged xvdc
    wait_line plugged 'xvdc: detached' > /dev/null
    ! xenstore-exists "/local/domain/$id/device/vbd/51744" || fail "the front end is still in the store"
done
type_line 'sha256 xvdc'
wait_line plugged 'sha256: xvdc: no such disk' > /dev/null

say "away while it is read"
xl block-attach plugged "$(disk "$two" xvdd | tr -d "'")"
wait_line plugged 'xvdd: 256 MiB' > /dev/null
type_line 'sha256 xvdd; echo still-''alive'
wait_line plugged '[0-9]+ of 256 MiB' > /dev/null
disk_detach plugged xvdd
wait_line plugged 'sha256: xvdd: read at byte [0-9]+: ENODEV' > /dev/null
# The line that showed the progress is wiped first.
wait_line plugged $'^(\e\\[K)?still-alive' > /dev/null
new_log plugged
type_line 'lsdev; echo listed-''all'
wait_line plugged '^listed-all' > /dev/null
! guest_log plugged | grep 'device/vbd/51760' > /dev/null || fail "lsdev still shows the disk"
grants=
deadline=$((EPOCHSECONDS + $(scaled 30)))
until [ "$grants" = "$grants_before" ]; do # dom0's kernel lets the ring's page go in its own time after the worker's end
    [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "grant references in use: $grants_before before, $grants now"
    read -r grants memory <<< "$(in_use)"
done
[ $((memory - memory_before)) -le 512 ] || fail "memory in use went from $memory_before to $memory KiB"
