# A qcow2 image under a Linux guest's fio (crc32c, depth 16), flushes and discards: its server is killed twice, and the block
# daemon, and nothing is wrong; qemu-img finds the image whole afterwards, and that what was discarded was given back.
# with: block-nbd-linux
# timeout: 900
. ./lib.sh
. ./block-nbd-linux/fio.sh

readonly NAME=block-image-linux
UNITS+=('duet-image-*')
qemu-img create -q -f qcow2 "$WORK/disk.qcow2" 8M
fio_begins $NAME "'format=raw,vdev=xvda,access=rw,script=block-duet,target=qcow2:$WORK/disk.qcow2'"
for n in 2 3; do
    kill -KILL "$(main_pid "duet-image-vbd-$(xl domid $NAME)-51712.service")"
    connected $NAME $n
done
kill -KILL "$(main_pid duet-block.service)"
connected $NAME 4
fio_ends $NAME
xl destroy $NAME
qemu-img check "$WORK/disk.qcow2" || fail "the image is not whole"
qemu-img map --output=json "$WORK/disk.qcow2" > map
python3 - << 'GIVEN' || fail "what was discarded is still there: $(cat map)"
import json
raise SystemExit(any(part["data"] and part["start"] + part["length"] > 4 << 20 for part in json.load(open("map", encoding="utf-8"))))
GIVEN
