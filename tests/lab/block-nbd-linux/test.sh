# A disk that is an export of an NBD server under a Linux guest's fio (crc32c, depth 16), flushes and discards: the server is
# killed and comes back twice, and nothing is wrong.
# timeout: 900
. ./lib.sh
. ./fio.sh

readonly NAME=block-nbd-linux
image=$(image disk.img 8M)

cleanup() {
    nbd_kill
}

nbd_serve disk="$image"
fio_begins $NAME "$(nbd_disk disk)"
for n in 2 3; do
    nbd_kill
    wait_journal duet-block.service "vbd $(xl domid $NAME)/51712: image nbd.*the connection to the server is lost; opens it again"
    nbd_serve disk="$image"
    connected $NAME $n
done
fio_ends $NAME
