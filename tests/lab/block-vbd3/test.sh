# The class vbd3, as newer toolstacks create it for backendtype=tap. libxl 4.17 does not know it, so the test
# writes what libxl 4.18 writes, in one transaction, for a running Linux guest, and takes it away again.
# timeout: 600
. ./lib.sh

# lines TEXT SIZE: what `yes TEXT` prints first.
lines() {
    yes "$1" | head -c "$2" || true
}

image=$(image disk.img 8M)
linux_guest block-vbd3 \
    "extra = 'console=hvc0 run=\"until [ -b /dev/xvdb ]; do sleep 0.1; done; \
yes vbd3 | dd of=/dev/xvdb bs=64k count=16 iflag=fullblock conv=fsync && echo written; \
while [ -b /dev/xvdb ]; do sleep 0.1; done\"'"
wait_line block-vbd3 '^linux: ready' 200 > /dev/null
domid=$(xl domid block-vbd3)
front=/local/domain/$domid/device/vbd/51728
back=/local/domain/0/backend/vbd3/$domid/51728

# Nodes inherit the permissions of their directory; xenstore-write is one transaction.
xenstore-write "$front" ""
xenstore-chmod "$front" "n$domid" r0
xenstore-write "$back" ""
xenstore-chmod "$back" n0 "r$domid"
xenstore-write \
    "$back/frontend" "$front" "$back/params" "aio:$image" "$back/script" /etc/xen/scripts/block-tap \
    "$back/frontend-id" "$domid" "$back/online" 1 "$back/removable" 0 "$back/bootable" 1 \
    "$back/dev" xvdb "$back/type" tap "$back/mode" w "$back/device-type" disk \
    "$back/discard-enable" 1 "$back/specification" xen "$back/state" 1 \
    "$front/backend" "$back" "$front/backend-id" 0 "$front/virtual-device" 51728 \
    "$front/device-type" disk "$front/trusted" 1 "$front/state" 1
wait_store "$back/state" '^[234]$' 120
same "script" /etc/xen/scripts/block-duet "$(xenstore-read "$back/script")"
XENBUS_PATH=$back /etc/xen/scripts/block-duet add || fail "the script did not accept the disk"
wait_line block-vbd3 '^written' 200 > /dev/null
same "the disk" "$(lines vbd3 1M | sha256sum)" "$(head -c 1M "$image" | sha256sum)"

xenstore-write "$back/online" 0 "$back/state" 5
wait_store "$back/state" '^6$' 120
xenstore-rm "$back"
xenstore-rm "$front"
same "status of the guest's commands" "status: 0" "$(wait_line block-vbd3 '^status: ' 200)"
