# qcow2, vhd and vmdk images under stock xl: block-duet starts a server for each, whose export is the disk. Our guest writes
# numbered blocks and patterns; a server is killed, the daemon is killed, the guest is saved and restored: a pause, and no block
# is lost, as qemu-img finds afterwards in the images. What the server may do and see; read-only, on top of a backing file;
# a backing file from elsewhere, another format, and an image that is in use are refused with a sentence. Nothing is left
# behind by detach, save, destroy, or an attach that failed.
# timeout: 900
. ./lib.sh

readonly NAME=block-image BASES=/var/lib/duet/bases
UNITS+=('duet-image-*')
mkdir -p $BASES
cleanup() {
    rm -f $BASES/block-image.img
}

# specification VDEV MODE FORMAT:PATH
specification() {
    echo "'format=raw,vdev=$1,access=$2,script=block-duet,target=$3'"
}

# unit VDEV: the name of the guest's server.
unit() {
    echo "duet-image-vbd-$(xl domid $NAME)-$1.service"
}

# left: servers that there are, and what they may leave.
left() {
    systemctl list-units --all --plain --no-legend 'duet-image-*' | awk '{ print $1 }'
    find /run/duet/image -mindepth 1 2> /dev/null || true
    pgrep -x qemu-nbd || true
}

# servers VDEV...: these and no others have one.
servers() {
    same "servers" "$(for device; do unit "$device"; done | xargs)" "$(left | grep '\.service' | sort | xargs)"
}

# expect_refused VDEV FORMAT:PATH SENTENCE: no disk comes of it. libxl leaves what it wrote of it, and would want it again for a
# domain that is restored: it is detached.
expect_refused() {
    ! timeout 60 xl block-attach $NAME "$(specification "$1" rw "$2" | tr -d "'")" 2> said || fail "a disk was attached with $2"
    grep -F -- "$3" said > /dev/null || fail "of $2 xl says: $(cat said)"
    disk_detach $NAME "$1"
}

qemu-img create -q -f qcow2 "$WORK/disk.qcow2" 8M
qemu-img create -q -f vpc -o force_size=on "$WORK/disk.vhd" 8M
qemu-img create -q -f vmdk "$WORK/disk.vmdk" 8M
truncate -s 1M $BASES/block-image.img "$WORK/other.img"
printf 'what the base holds' | dd of=$BASES/block-image.img conv=notrunc status=none
qemu-img create -q -f qcow2 -b $BASES/block-image.img -F raw "$WORK/top.qcow2"
qemu-img create -q -f qcow2 -b "$WORK/other.img" -F raw "$WORK/evil.qcow2"
chown daemon:daemon "$WORK/disk.qcow2"
chmod 600 "$WORK/disk.qcow2"

say "a guest with four"
guest $NAME "disk = [ $(specification xvda rw "qcow2:$WORK/disk.qcow2") ]"
wait_prompt $NAME
disk_attach $NAME "$(specification xvdb rw "vhd:$WORK/disk.vhd" | tr -d "'")"
disk_attach $NAME "$(specification xvdc rw "vmdk:$WORK/disk.vmdk" | tr -d "'")"
disk_attach $NAME "$(specification xvdd r "qcow2:$WORK/top.qcow2" | tr -d "'")"
pid=$(main_pid "$(unit 51712)")
same "whose process the server is" daemon "$(stat -c %U "/proc/$pid")"
same "its capabilities, that it gets no others, and its filter" "0000000000000000 1 2" \
    "$(sed -n -E 's/^(CapBnd|NoNewPrivs|Seccomp):\t//p' "/proc/$pid/status" | xargs)"
calls=$(systemctl show --value --property SystemCallFilter "$(unit 51712)")
[[ " $calls " == *" pwritev "* && ! " $calls " =~ \ (kill|tgkill|ptrace|process_vm_readv|prlimit64)\  ]] || fail "system calls: $calls"
same "what it sees" "dev images lib lib64 run usr" "$(find "/proc/$pid/root/" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)"
same "which program" qemu-nbd "$(find "/proc/$pid/root/usr/bin" -mindepth 1 -printf '%f\n')"

say "what is refused"
expect_refused xvde "vhd:$WORK/other.img" "image $WORK/other.img: "
expect_refused xvdf "qcow2:$WORK/evil.qcow2" "its backing file $WORK/other.img is not below $BASES"
expect_refused xvdg "qcow2:$WORK/disk.qcow2" 'Failed to get "write" lock'
servers 51712 51728 51744 51760
type_to $NAME "journal start xvda"
journal_grows $NAME

say "vhd and vmdk, and read-only on top of a backing file"
for disk in xvdb xvdc; do
    ask $NAME "dd if=pattern:77 of=$disk bs=64k count=16 seek=5 conv=fsync" '1048576 bytes copied' > /dev/null
done
ask $NAME "dd if=zero of=xvdd count=1" 'EROFS' > /dev/null
same "what the guest reads there" "$(sha256sum < $BASES/block-image.img | cut -d ' ' -f 1)" \
    "$(ask $NAME "sha256 xvdd" '[0-9a-f]{64}' | grep -oE '[0-9a-f]{64}')"

say "the server is killed"
kill -KILL "$pid"
connected $NAME 2
journal_grows $NAME
[ "$(main_pid "$(unit 51712)")" != "$pid" ] || fail "it is still the same server"
say "the daemon is killed"
kill -KILL "$(main_pid duet-block.service)"
connected $NAME 3
journal_grows $NAME

say "detached, saved and restored"
disk_detach $NAME xvdd
disk_detach $NAME xvdc
servers 51712 51728
away=$(save_restore $NAME)
say "$away"
servers 51712 51728
journal_grows $NAME

say "destroyed"
new_log $NAME
type_to $NAME "journal stop"
line=$(wait_line $NAME '^journal: stopped: ' 240)
[[ $line =~ \ 0\ wrong\;\ ([0-9]+)\ slots,\ last\ (.*) ]] || fail "$line"
slots=${BASH_REMATCH[1]} lasts=${BASH_REMATCH[2]}
xl destroy $NAME
same "what is left" "" "$(left)"
qemu-img check "$WORK/disk.qcow2" || fail "the image is not whole"
qemu-img convert -f qcow2 -O raw "$WORK/disk.qcow2" "$WORK/disk.img"
# shellcheck disable=SC2086
journal_check "$WORK/disk.img" "$slots" $lasts || fail "the blocks on the disk are not right"
qemu-img convert -f vpc -O raw "$WORK/disk.vhd" "$WORK/vhd.img"
qemu-img convert -f vmdk -O raw "$WORK/disk.vmdk" "$WORK/vmdk.img"
cat > expected.py << 'PYTHON'
import sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        have = file.read()
    begin, length = 5 * 65536, 1048576
    want = b"".join(b"%08x %016x duet.\n" % (77, at) for at in range(begin, begin + length, 32))
    if have != bytes(begin) + want + bytes(8 * 1048576 - begin - length):
        sys.exit(f"{path}, of {len(have)} bytes, is not what the guest wrote")
PYTHON
python3 expected.py "$WORK/vhd.img" "$WORK/vmdk.img"
