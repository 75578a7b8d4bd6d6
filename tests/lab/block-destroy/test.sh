# xl destroy in the middle of disk I/O leaves nothing: no process, no store entry, no event channel, no
# grant mapping, no lock; several guests at once, two disks each.
# timeout: 600
. ./lib.sh

# What guests of other tests had is given back in its own time.
settles "event channels of dom0 to guests, before" 0 guest_channels
settles "workers, before" 0 processes duet-block-worker

# Guest 1 is a Linux, the others are ours; each keeps both its disks busy for longer than the test takes.
busy=$(printf 'dd if=zero of=xvda; sha256 xvdb; %.0s' $(seq 25))
for n in 1 2 3; do
    disks="disk = [ $(disk "$(image a$n.img 64M)"), $(disk "$(image b$n.img 64M)" xvdb) ]"
    if [ $n -eq 1 ]; then
        linux_guest block-destroy-1 "$disks" \
            "extra = 'console=hvc0 run=\"echo begin; while :; do dd if=/dev/zero of=/dev/xvda bs=1M oflag=direct; dd if=/dev/xvdb of=/dev/null bs=1M; done\"'"
    else
        guest block-destroy-$n "$disks" "extra = 'run=\"echo begin; $busy\"'"
    fi
done
for n in 1 2 3; do
    wait_line block-destroy-$n '^begin' 200 > /dev/null
    id=$(xl domid block-destroy-$n)
    wait_store "/local/domain/0/backend/vbd/$id/51712/state" '^4$' 120
    wait_store "/local/domain/0/backend/vbd/$id/51728/state" '^4$' 120
done
same "workers" 6 "$(processes duet-block-worker)"
for n in 1 2 3; do
    id=$(xl domid block-destroy-$n)
    timeout 30 xl destroy block-destroy-$n
    xenstore-exists "/local/domain/0/backend/vbd/$id" && fail "the store still has disks of $id"
done

settles "workers after destroy" 0 processes duet-block-worker
# Nothing tells when the last of other daemons' channels (console, store) is closed.
settles "event channels of dom0 to guests" 0 guest_channels
for image in "$WORK"/*.img; do
    settles "users of $image" "" users_of "$image"
done
# Of a domain that lingers on memory is still mapped.
settles "domains" Domain-0 sh -c "xl list | awk 'NR > 1 { print \$1 }'"
settles "what the daemon counts" "serving 0 block devices" sh -c \
    "systemctl status duet-block.service | grep -o 'serving [0-9]* block devices'"
