# Disks that are exports of an NBD server, QEMU's: our guest writes numbered blocks, a Linux guest runs fio (crc32c, depth 16).
# The server is killed and comes back, the worker is killed, the daemon restarts: a pause, no error, and every block is where
# it belongs. A guest that is to wait for so many seconds only gets errors then, and its disk again when the server is back.
# Without a server xl says so at once.
# timeout: 900
. ./lib.sh

readonly DUET=block-nbd-ours LINUX=block-nbd-linux QEMU=/usr/libexec/xen-qemu-system-i386
readonly DROPIN=/run/systemd/system/duet-block.service.d/block-nbd.conf
ours=$(image ours.img 8M)
theirs=$(image theirs.img 8M)
socket=$WORK/nbd

cleanup() {
    [ -z "${SERVER:-}" ] || kill -KILL "$SERVER" 2> /dev/null
    if [ -e $DROPIN ]; then
        rm $DROPIN
        systemctl daemon-reload
        systemctl restart duet-block.service
    fi
}

# serve: start the server of both images.
serve() {
    rm -f "$socket" qmp
    $QEMU -machine none -accel qtest -nodefaults -display none -S -qmp unix:qmp,server=on,wait=off \
        -blockdev "driver=file,node-name=ours,filename=$ours,discard=unmap" \
        -blockdev "driver=file,node-name=theirs,filename=$theirs,discard=unmap" 2> qemu.err &
    SERVER=$!
    timeout 60 sh -c 'until [ -S qmp ]; do :; done' || fail "QEMU: $(cat qemu.err)"
    socat -t 30 - UNIX:qmp > qmp.said << QMP
{"execute": "qmp_capabilities"}
{"execute": "nbd-server-start", "arguments": {"addr": {"type": "unix", "data": {"path": "$socket"}}, "max-connections": 0}}
{"execute": "block-export-add", "arguments": {"type": "nbd", "id": "ours", "node-name": "ours", "name": "ours", "writable": true}}
{"execute": "block-export-add", "arguments": {"type": "nbd", "id": "theirs", "node-name": "theirs", "name": "theirs", "writable": true}}
QMP
    ! grep '"error"' qmp.said || fail "QEMU: see above"
}

# stop_server: it is killed; its clients' connections end.
stop_server() {
    kill -KILL "$SERVER"
    wait "$SERVER" || true
    SERVER=
}

# nbd_disk EXPORT: the specification of a disk.
nbd_disk() {
    printf "'format=raw,vdev=xvda,access=rw,script=block-duet,target=nbd+unix:///%s?socket=%s'\n" "$1" "$socket"
}

# connections NAME: how often its disk was connected.
connections() {
    journalctl -q -o cat --since "@$BEGAN" --unit duet-block | grep -c "vbd $(xl domid "$1")/51712: connected" || true
}

# reconnects NAME COUNT: until its disk was connected so often.
reconnects() {
    local deadline=$((EPOCHSECONDS + 60 * FACTOR / 100))
    until [ "$(connections "$1")" -ge "$2" ]; do
        [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "$1 was connected $(connections "$1") times, not $2"
        sleep 0.2
    done
}

say "without a server there is a sentence"
printf '%s\n' "name = 'block-nbd-none'" "kernel = '$GUEST_KERNEL'" "memory = 32" "disk = [ $(nbd_disk ours) ]" > none.cfg
timeout 60 xl create -q none.cfg 2> said && fail "a guest was created without a server"
grep -F "image nbd+unix:///ours?socket=$socket: " said | grep 'No such file' > /dev/null || fail "xl says: $(cat said)"

serve
say "load"
guest $DUET "disk = [ $(nbd_disk ours) ]"
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
killall -INT fio; while pidof fio > /tmp/pids; do usleep 100000; done
tr -d '\n' < /tmp/fio | sed 's/ //g'; echo
dmesg | grep -E 'I/O error|blk_update_request'; echo the end
GUEST
create $LINUX "kernel = '$LINUX_KERNEL'" "ramdisk = '$(linux_initrd fio blkdiscard)'" "memory = 300" \
    "disk = [ $(nbd_disk theirs) ]" \
    "extra = 'console=hvc0 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 run=\"sh /script\"'"
wait_prompt $DUET
type_to $DUET "journal start xvda"
journal_grows $DUET
wait_line $LINUX '^it writes' 250 > /dev/null

for n in 2 3 4; do
    say "the server is killed, and back: $((n - 1))"
    stop_server
    wait_journal duet-block.service "vbd $(xl domid $DUET)/51712: image nbd.*the connection to the server is lost; opens it again"
    [ $n -ne 3 ] || sleep 12 # xl's own patience is over, and the guests' is not
    serve
    reconnects $DUET $n
    reconnects $LINUX $n
    journal_grows $DUET
done
say "the workers are killed"
pkill -KILL -x duet-block-work
reconnects $DUET 5
reconnects $LINUX 5
journal_grows $DUET
say "the daemon restarts"
systemctl restart duet-block.service
reconnects $DUET 6
reconnects $LINUX 6
journal_grows $DUET

say "all that was written is there"
journal_ends $DUET "$ours"
timeout 60 xl block-attach $LINUX "$(disk "$(image end.img 1M)" xvdb ro | tr -d "'")"
wait_line $LINUX '^the end' 250 > /dev/null
guest_log $LINUX | grep -E 'I/O error|blk_update_request' && fail "the Linux guest saw an error"
guest_log $LINUX | grep -o '{"fioversion.*' > fio.json
python3 - << 'SAID' || fail "fio: $(tail -c 3000 fio.json)"
import json
job = json.load(open("fio.json", encoding="utf-8"))["jobs"][0]
print(f"block-nbd: fio: {job['write']['io_bytes'] >> 10} KiB written, {job['read']['io_bytes'] >> 10} KiB verified")
raise SystemExit(job["error"] or job["read"]["io_bytes"] < 1 << 20)
SAID
xl destroy $LINUX

say "a guest that is not to wait gets errors, and its disk again"
mkdir -p "${DROPIN%/*}"
printf '%s\n' '[Service]' 'ExecStart=' 'ExecStart=/usr/sbin/duet-blockd --nbd-wait 3' > $DROPIN
systemctl daemon-reload
systemctl restart duet-block.service
reconnects $DUET 7
stop_server
wait_journal duet-block.service "the server has been away for 3 s; until it is back every request is answered by an error"
reconnects $DUET 8
ask $DUET "sync xvda" 'EIO' > /dev/null
serve
reconnects $DUET 9
ask $DUET "dd if=pattern:1 of=xvda bs=4096 seek=3 count=1" '^4096 bytes copied' > /dev/null
