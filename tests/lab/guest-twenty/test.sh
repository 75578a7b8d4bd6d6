#!/bin/bash
# Twenty of our guests with 16 MiB and a disk each run at once, each finds its own disk's content, and
# when they are destroyed nothing of them is left: no domain, no store entry, no worker, no event
# channel of dom0.
# timeout: 600
. ./lib.sh

count=20
# Ports of dom0 that are connected to, or offered to, another domain.
ports() {
    /usr/lib/xen-4.17/bin/lsevtchn 0 | grep -c -E 'Interdomain|Waiting' || true
}
workers() {
    pgrep -c -f 'duet-blockd' || true
}
ports_before=$(ports)
workers_before=$(workers)

for i in $(seq $count); do
    image=$(image "$i.img" 1M)
    printf 'disk of guest %d\n' "$i" | dd of="$image" conv=notrunc status=none
    guest "twenty$i" "memory = 16" "maxmem = 16" "disk = [ $(disk "$image") ]" \
        "extra = 'run=\"hexdump xvda 0 32; dd if=pattern:$i of=xvda bs=64k seek=1 count=15 conv=fsync\"'"
done
for i in $(seq $count); do
    wait_prompt "twenty$i" 200
    guest_log "twenty$i" | grep -q "|disk of guest .*|" || fail "guest $i did not read its disk"
    same "exit statuses of guest $i" "0 0" "$(guest_log "twenty$i" | sed -n 's/^status: //p' | xargs)"
    same "guest $i's line on its disk" "disk of guest $i" "$(head -n 1 "$WORK/$i.img")"
    printf -v record '%08x %016x duet.' "$i" 65536
    same "guest $i's pattern" "$record" "$(dd if="$WORK/$i.img" bs=1 skip=65536 count=31 status=none)"
done
same "guests that run" $count "$(xl list | grep -c '^twenty')"

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
# The daemon closes what it held for a guest when it hears that the guest is gone.
settled() {
    [ "$(ports)" -le "$ports_before" ] && [ "$(workers)" -le "$workers_before" ]
}
for _ in $(seq 100); do
    settled && break
    sleep 0.1
done
[ "$(ports)" -le "$ports_before" ] || fail "$(ports) event channels of dom0 to guests, $ports_before before"
[ "$(workers)" -le "$workers_before" ] || fail "$(workers) processes of the block daemon, $workers_before before"
