# A disk that is an export of an NBD server under a Linux guest's fio (crc32c, depth 16) and a discard: the server is killed and
# comes back twice, and nothing is wrong.
# timeout: 900
. ./lib.sh

readonly NAME=block-nbd-linux
image=$(image disk.img 8M)

cleanup() {
    nbd_kill
}

nbd_serve disk="$image"
mkdir -p "$WORK/extra"
cat > "$WORK/extra/load" << FIO
[load]
filename=/dev/xvda
size=2M
direct=1
rw=randwrite
bsrange=512-64k
ba=512
ioengine=libaio
iodepth=16
loops=1000000
randrepeat=0
verify=crc32c
verify_fatal=1
do_verify=1
FIO
cat > "$WORK/extra/script" << GUEST
blkdiscard -o 4194304 -l 4194304 /dev/xvda && echo discarded
fio --eta=never /load --output=/tmp/fio --output-format=json &
until [ "\$(awk '{ print \$7 }' /sys/block/xvda/stat)" -gt 0 ]; do usleep 200000; done
echo it writes
until [ -b /dev/xvdb ]; do usleep 200000; done
until [ "\$(awk '{ print \$3 }' /sys/block/xvda/stat)" -gt 2560 ]; do usleep 200000; done # it has verified so many sectors
killall -INT fio; while pidof fio > /tmp/pids; do usleep 100000; done
tr -d '\n' < /tmp/fio | sed 's/ //g'; echo
dmesg | grep -E 'I/O error|blk_update_request'; echo the end
GUEST
create $NAME "kernel = '$LINUX_KERNEL'" "ramdisk = '$(linux_initrd fio blkdiscard)'" "memory = 420" \
    "disk = [ $(nbd_disk disk) ]" \
    "extra = 'console=hvc0 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 run=\"sh /script\"'"
wait_line $NAME '^it writes' 250 > /dev/null
guest_log $NAME | grep '^discarded' > /dev/null || fail "the discard failed"
for n in 2 3; do
    nbd_kill
    wait_journal duet-block.service "vbd $(xl domid $NAME)/51712: image nbd.*the connection to the server is lost; opens it again"
    nbd_serve disk="$image"
    connected $NAME $n
done
timeout 60 xl block-attach $NAME "$(disk "$(image end.img 1M)" xvdb ro | tr -d "'")"
wait_line $NAME '^the end' 250 > /dev/null
guest_log $NAME | grep -E 'I/O error|blk_update_request' && fail "the guest saw an error"
guest_log $NAME | grep -o '{"fioversion.*' > fio.json
python3 - << 'SAID' || fail "fio: $(tail -c 3000 fio.json)"
import json
job = json.load(open("fio.json", encoding="utf-8"))["jobs"][0]
print(f"block-nbd-linux: fio: {job['write']['io_bytes'] >> 10} KiB written, {job['read']['io_bytes'] >> 10} KiB verified")
raise SystemExit(job["error"] or job["read"]["io_bytes"] < 1 << 20)
SAID
