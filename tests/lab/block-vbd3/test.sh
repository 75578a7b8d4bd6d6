# The class vbd3, as newer toolstacks create it for backendtype=tap. libxl 4.17 does not know it, so the test
# writes what libxl 4.18 writes, in one transaction, for a running Linux guest, and takes it away again.
. ./lib.sh

image=$(image disk.img 8M)
linux_guest block-vbd3 \
    "extra = 'console=hvc0 run=\"until [ -b /dev/xvdb ]; do sleep 0.1; done; \
yes vbd3 | dd of=/dev/xvdb bs=64k count=16 iflag=fullblock conv=fsync && echo written; \
while [ -b /dev/xvdb ]; do sleep 0.1; done\"'"
wait_line block-vbd3 '^linux: ready' > /dev/null
domid=$(xl domid block-vbd3)
front=/local/domain/$domid/device/vbd/51728
back=/local/domain/0/backend/vbd3/$domid/51728

python3 - "$domid" "$front" "$back" "$image" <<'PYTHON'
import subprocess
import sys

domid, front, back, image = sys.argv[1:]
nodes = {f"{back}/frontend": front, f"{back}/params": f"aio:{image}",
         f"{back}/script": "/etc/xen/scripts/block-tap", f"{back}/frontend-id": domid,
         f"{back}/online": "1", f"{back}/removable": "0", f"{back}/bootable": "1", f"{back}/dev": "xvdb",
         f"{back}/type": "tap", f"{back}/mode": "w", f"{back}/device-type": "disk",
         f"{back}/discard-enable": "1", f"{back}/specification": "xen", f"{back}/state": "1",
         f"{front}/backend": back, f"{front}/backend-id": "0", f"{front}/virtual-device": "51728",
         f"{front}/device-type": "disk", f"{front}/trusted": "1"}
subprocess.run(["xenstore-write", *(x for pair in nodes.items() for x in pair)], check=True)
subprocess.run(["xenstore-chmod", back, "n0", f"r{domid}"], check=True)
subprocess.run(["xenstore-chmod", front, f"n{domid}", "r0"], check=True)
PYTHON
wait_store "$back/state" '^2$'
same "script" /etc/xen/scripts/block-duet "$(xenstore-read "$back/script")"
XENBUS_PATH=$back /etc/xen/scripts/block-duet add || fail "the script did not accept the disk"
xenstore-chmod -r "$back" n0 "r$domid"
xenstore-chmod -r "$front" "n$domid" r0
xenstore-write "$front/state" 1
xenstore-chmod "$front/state" "n$domid" r0
wait_line block-vbd3 '^written' > /dev/null
same "the disk" "$(yes vbd3 | head -c 1M | sha256sum)" "$(head -c 1M "$image" | sha256sum)"

xenstore-write "$back/online" 0 "$back/state" 5
wait_store "$back/state" '^6$'
xenstore-rm "$back"
xenstore-rm "$front"
same "status of the guest's commands" "status: 0" "$(wait_line block-vbd3 '^status: ')"
