# An image is made longer and shorter while a Linux guest uses it: the guest sees each change at once, an access past
# the new end fails, and the file never grows by what the guest writes. Our guest sees the changes, too. What both have
# under way meanwhile, fio (crc32c, depth 16) and numbered blocks, is where it belongs.
# timeout: 900
. ./lib.sh

disk=$(image disk.img 8M)
ours=$(image ours.img 8M)
guest block-resize-ours "disk = [ $(disk "$ours") ]"
linux_guest block-resize "disk = [ $(disk "$disk") ]" \
    "extra = 'console=hvc0 run=\"while true; do echo size \$(cat /sys/block/xvda/size); dd if=/dev/zero of=/dev/xvda bs=4k seek=3000 count=8 oflag=direct 2> /dev/null && echo wrote || echo failed; sleep 0.3; done\"'"
wait_line block-resize '^size 16384' 200 > /dev/null
wait_line block-resize '^failed' > /dev/null

truncate -s 16M "$disk"
wait_line block-resize '^size 32768' > /dev/null
wait_line block-resize '^wrote' > /dev/null

truncate -s 4M "$disk"
new_log block-resize
wait_line block-resize '^size 8192' > /dev/null
truncate -s 4M "$disk" # what was written until the guest knew
new_log block-resize
wait_line block-resize '^failed' > /dev/null
wait_line block-resize '^size 8192' > /dev/null
same "the size of the image" $((4 << 20)) "$(stat -c %s "$disk")"

xl destroy block-resize

# sees SIZE: until our guest says that its disk is so large.
sees() {
    local line deadline=$((EPOCHSECONDS + 60 * FACTOR / 100))
    until line=$(ask block-resize-ours lsdev '^device/vbd/51712 ') && [[ $line == *" xvda $1 rw up"* ]]; do
        [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "our guest does not see $1: $line"
    done
}

say "our guest, in the middle of its writing"
sectors=/local/domain/0/backend/vbd/$(xl domid block-resize-ours)/51712/sectors
wait_prompt block-resize-ours
type_to block-resize-ours "journal start xvda"
journal_grows block-resize-ours
truncate -s 12M "$ours"
wait_store "$sectors" '^24576$'
journal_grows block-resize-ours
sees '12 MiB'
truncate -s 8M "$ours"
wait_store "$sectors" '^16384$'
journal_grows block-resize-ours
sees '8 MiB'
truncate -s 16M "$ours"
sees '16 MiB'
journal_ends block-resize-ours "$ours"
ask block-resize-ours 'dd if=pattern:1 of=xvda bs=4096 seek=3000 count=1' '^4096 bytes copied' > /dev/null
truncate -s 8M "$ours"
sees '8 MiB'
ask block-resize-ours 'dd if=pattern:1 of=xvda bs=4096 seek=3000 count=1' '^dd: xvda: offset 12288000 .* past its end' > /dev/null
same "the size of the image" $((8 << 20)) "$(stat -c %s "$ours")"

say "Linux, under fio"
loaded=$(image loaded.img 8M)
mkdir -p "$WORK/extra"
cat > "$WORK/extra/load" << FIO
[load]
filename=/dev/xvda
size=2M
direct=1
rw=randwrite
bsrange=4k-64k
ba=4k
ioengine=libaio
iodepth=16
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
until [ "\$(cat /sys/block/xvda/size)" = 24576 ]; do usleep 100000; done; echo it grew
until [ "\$(cat /sys/block/xvda/size)" = 16384 ]; do usleep 100000; done; echo it shrank
dd if=/dev/zero of=/dev/xvda bs=4k seek=2500 count=1 oflag=direct 2> /dev/null && echo wrote || echo refused
until [ "\$(awk '{ print \$3 }' /sys/block/xvda/stat)" -gt 2560 ]; do usleep 200000; done # it has verified so many sectors
killall -INT fio; while pidof fio > /tmp/pids; do usleep 100000; done
tr -d '\n' < /tmp/fio | sed 's/ //g'; echo; echo the end
GUEST
create block-resize-load "kernel = '$LINUX_KERNEL'" "ramdisk = '$(linux_initrd fio)'" "memory = 420" \
    "disk = [ $(disk "$loaded") ]" \
    "extra = 'console=hvc0 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 run=\"sh /script\"'"
wait_line block-resize-load '^it writes' 250 > /dev/null
truncate -s 12M "$loaded"
wait_line block-resize-load '^it grew' > /dev/null
truncate -s 8M "$loaded"
wait_line block-resize-load '^it shrank' > /dev/null
wait_line block-resize-load '^refused' > /dev/null
wait_line block-resize-load '^the end' 250 > /dev/null
guest_log block-resize-load | grep -o '{"fioversion.*' > said
python3 - << 'SAID' || fail "fio: $(tail -c 3000 said)"
import json
job = json.load(open("said", encoding="utf-8"))["jobs"][0]
print(f"block-resize: fio: {job['write']['io_bytes'] >> 10} KiB written, {job['read']['io_bytes'] >> 10} KiB verified")
raise SystemExit(job["error"] or job["read"]["io_bytes"] < 1 << 20)
SAID
same "the size of the image" $((8 << 20)) "$(stat -c %s "$loaded")"
