# What a Linux guest does to a disk that an NBD server serves, while that server dies: fio with crc32c at depth 16 on the first
# 2 MiB, with a flush after each 16 writes, and on the last 4 MiB writes that are flushed and discarded, round and round.
# shellcheck shell=bash

# fio_begins NAME SPECIFICATION: a guest with this disk; returns when it writes.
fio_begins() {
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
fdatasync=16
loops=1000000
randrepeat=0
verify=crc32c
verify_fatal=1
do_verify=1
FIO
    cat > "$WORK/extra/script" << GUEST
fio --eta=never /load --output=/tmp/fio --output-format=json &
until [ "\$(awk '{ print \$7 }' /sys/block/xvda/stat)" -gt 0 ]; do usleep 200000; done
echo it writes
until [ -b /dev/xvdb ]; do
    dd if=/dev/urandom of=/dev/xvda bs=64k count=16 seek=64 oflag=direct conv=notrunc,fsync 2> /tmp/said && \
        blkdiscard -o 4194304 -l 4194304 /dev/xvda || { echo FAILED; cat /tmp/said; break; }
    echo discarded
done
until [ "\$(awk '{ print \$3 }' /sys/block/xvda/stat)" -gt 2560 ]; do usleep 200000; done # it has verified so many sectors
killall -INT fio; while pidof fio > /tmp/pids; do usleep 100000; done
tr -d '\n' < /tmp/fio | sed 's/ //g'; echo
dmesg | grep -E 'I/O error|blk_update_request'; echo the end
GUEST
    create "$1" "kernel = '$LINUX_KERNEL'" "ramdisk = '$(linux_initrd fio blkdiscard)'" "memory = 420" "disk = [ $2 ]" \
        "extra = 'console=hvc0 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 run=\"sh /script\"'"
    wait_line "$1" '^it writes' 250 > /dev/null
    wait_line "$1" '^discarded' 250 > /dev/null
}

# fio_ends NAME: has it verify some more, and end; nothing was wrong.
fio_ends() {
    timeout 60 xl block-attach "$1" "$(disk "$(image end.img 1M)" xvdb ro | tr -d "'")"
    wait_line "$1" '^the end' 250 > /dev/null
    guest_log "$1" | grep -E 'I/O error|blk_update_request|FAILED' && fail "the guest saw an error"
    guest_log "$1" | grep -o '{"fioversion.*' > fio.json
    python3 - "$TEST" << 'SAID' || fail "fio: $(tail -c 3000 fio.json)"
import json
import sys
job = json.load(open("fio.json", encoding="utf-8"))["jobs"][0]
print(f"{sys.argv[1]}: fio: {job['write']['io_bytes'] >> 10} KiB written, {job['read']['io_bytes'] >> 10} KiB verified")
raise SystemExit(job["error"] or job["read"]["io_bytes"] < 1 << 20)
SAID
}
