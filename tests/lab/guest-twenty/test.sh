#!/bin/bash
# Twenty of our guests with 16 MiB and a disk each run at once, each finds its own disk's content, and
# when they are destroyed nothing of them is left: no domain, no store entry, no worker, no event
# channel of dom0.
# timeout: 600
. ./lib.sh

count=20
# What guests of other tests had is given back in its own time.
settles "event channels of dom0 to guests, before" 0 guest_channels
settles "workers, before" 0 processes duet-block-worker

for i in $(seq $count); do
    image=$(image "$i.img" 1M)
    printf 'disk of guest %d\n' "$i" | dd of="$image" conv=notrunc status=none
    guest "twenty$i" "memory = 16" "maxmem = 16" "disk = [ $(disk "$image") ]" \
        "extra = 'run=\"hexdump xvda 0 32; dd if=pattern:$i of=xvda bs=64k seek=1 count=15 conv=fsync\"'"
done
for i in $(seq $count); do
    wait_prompt "twenty$i" 200
    guest_log "twenty$i" | grep "|disk of guest .*|" > /dev/null || fail "guest $i did not read its disk"
    same "exit statuses of guest $i" "0 0" "$(guest_log "twenty$i" | sed -n 's/^status: //p' | xargs)"
    same "guest $i's line on its disk" "disk of guest $i" "$(head -n 1 "$WORK/$i.img")"
    printf -v record '%08x %016x duet.' "$i" 65536
    same "guest $i's pattern" "$record" "$(dd if="$WORK/$i.img" bs=1 skip=65536 count=31 status=none)"
done
same "guests that run" $count "$(xl list | grep -c '^twenty')"
same "workers, one per disk" $count "$(processes duet-block-worker)"
[ "$(guest_channels)" -ge $((3 * count)) ] || fail "$(guest_channels) event channels: store, console and disk of each are three"

ids=()
for i in $(seq $count); do
    ids+=("$(xl domid "twenty$i")")
    xl destroy "twenty$i"
done
for i in $(seq $count); do
    wait_end "twenty$i"
done
for id in "${ids[@]}"; do
    ! xenstore-exists "/local/domain/$id" || fail "/local/domain/$id is still in the store"
    ! xenstore-exists "/local/domain/0/backend/vbd/$id" || fail "the back end of domain $id is still there"
done
# The daemons close what they held for a guest when they hear that it is gone.
settles "workers" 0 processes duet-block-worker
settles "event channels of dom0 to guests" 0 guest_channels
