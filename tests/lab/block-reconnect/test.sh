# A front end that closes and starts anew with the same device, as after a kexec in the guest: 4 → 5 → 6, and
# with online=1 the back end offers itself again (2) and serves the new ring. The image stays the guest's
# all the while.
# timeout: 600
. ./lib.sh

# What guests of other tests had is given back in its own time.
settles "workers, before" 0 processes duet-block-worker
image=$(image disk.img 8M)
linux_guest block-again "disk = [ $(disk "$image") ]" \
    "extra = 'console=hvc0 run=\"set -e; \
echo first life | dd of=/dev/xvda conv=sync,fsync; \
echo vbd-51712 > /sys/bus/xen/drivers/vbd/unbind; \
echo unbound; \
while [ -d /sys/bus/xen/devices/vbd-51712 ]; do sleep 0.1; done; \
echo forgotten; \
until [ -b /dev/xvda ]; do sleep 0.1; done; \
head -n 1 /dev/xvda; \
echo second life | dd of=/dev/xvda conv=sync,fsync\"'"
domid=$(xl domid block-again)
front=/local/domain/$domid/device/vbd/51712
back=/local/domain/0/backend/vbd/$domid/51712

wait_line block-again '^unbound' 200 > /dev/null
wait_store "$back/state" '^6$' 120
same "workers of a closed device" 0 "$(pgrep -c duet-block-work || true)"

# Linux makes a new device of it only when it sees the directory go and come. A guest that is slow to look
# sees it only as it is then: so it says that it has seen it go.
xenstore-rm "$front"
wait_line block-again '^forgotten' 200 > /dev/null
xenstore-write "$front" ""
xenstore-chmod "$front" "n$domid" r0
xenstore-write "$front/backend" "$back" "$front/backend-id" 0 "$front/virtual-device" 51712 \
    "$front/device-type" disk "$front/trusted" 1 "$front/state" 1
wait_store "$back/state" '^4$' 120

same "what the first life wrote" "first life" "$(wait_line block-again '^first life' 200 | tr -d '\0')"
same "status of the guest's commands" "status: 0" "$(wait_line block-again '^status: ' 200)"
wait_end block-again 200
same "what the second life wrote" "second life" "$(head -n 1 "$image" | tr -d '\0')"
