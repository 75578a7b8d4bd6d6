# A qcow2 image under stock xl: block-duet starts a server for it, whose export is the disk. Our guest writes numbered blocks; the
# server is killed, systemd starts another, and no block is lost; `qemu-img check` finds the image whole. Read-only, and on top of
# a backing file from where these are allowed; a backing file elsewhere, another format, a missing image and one that is in
# use are refused with a sentence. Nothing is left behind by detach, destroy, or a create that failed.
# timeout: 300
. ./lib.sh

readonly NAME=block-image BASES=/var/lib/duet/bases
UNITS+=('duet-image-*')
mkdir -p $BASES
cleanup() {
    rm -f $BASES/block-image.img
    rmdir --ignore-fail-on-non-empty $BASES
}

# specification VDEV MODE FORMAT:PATH
specification() {
    echo "'format=raw,vdev=$1,access=$2,script=block-duet,target=$3'"
}

# server VDEV: the process of the guest's server.
server() {
    main_pid "duet-image-vbd-$(xl domid $NAME)-$1.service"
}

# left: servers that there are, and what they may leave.
left() {
    systemctl list-units --all --plain --no-legend 'duet-image-*' | awk '{ print $1 }'
    find /run/duet/image -mindepth 1 -maxdepth 1 2> /dev/null || true
    pgrep -x qemu-nbd || true
}

# expect_refused FORMAT:PATH SENTENCE: no guest comes of it.
expect_refused() {
    printf '%s\n' "name = '$NAME-none'" "kernel = '$GUEST_KERNEL'" "memory = 32" "disk = [ $(specification xvda rw "$1") ]" > none.cfg
    ! timeout 60 xl create -q none.cfg 2> said || fail "a guest was created with $1"
    grep -F -- "$2" said > /dev/null || fail "of $1 xl says: $(cat said)"
}

qemu-img create -q -f qcow2 "$WORK/disk.qcow2" 8M
truncate -s 1M $BASES/block-image.img "$WORK/other.img"
printf 'what the base holds' | dd of=$BASES/block-image.img conv=notrunc status=none
qemu-img create -q -f qcow2 -b $BASES/block-image.img -F raw "$WORK/top.qcow2"
qemu-img create -q -f qcow2 -b "$WORK/other.img" -F raw "$WORK/evil.qcow2"
chown 4711:4711 "$WORK/disk.qcow2"
chmod 600 "$WORK/disk.qcow2"

say "what is refused"
expect_refused "qcow2:$WORK/none" "image $WORK/none: no such file"
expect_refused "qcow2:$WORK/other.img" "image $WORK/other.img: not in the format qcow2"
expect_refused "vhd:$WORK/other.img" "image $WORK/other.img: "
expect_refused "qcow2:$WORK/evil.qcow2" "its backing file $WORK/other.img is not below $BASES"
same "what is left of them" "" "$(left)"

say "a guest with two"
guest $NAME "disk = [ $(specification xvda rw "qcow2:$WORK/disk.qcow2"), $(specification xvdb r "qcow2:$WORK/top.qcow2") ]"
wait_prompt $NAME
pid=$(server 51712)
same "whose process the server is" 4711 "$(stat -c %u "/proc/$pid")"
same "its capabilities" 0000000000000000 "$(sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")"
calls=$(systemctl show --value --property SystemCallFilter "duet-image-vbd-$(xl domid $NAME)-51712.service")
[[ " $calls " == *" pwritev "* && " $calls " != *" kill "* ]] || fail "system calls that it may make: $calls"
same "what it sees" "bin dev images lib lib64 run usr" \
    "$(find "/proc/$pid/root/" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)"
expect_refused "qcow2:$WORK/disk.qcow2" 'Failed to get "write" lock'
type_to $NAME "journal start xvda"
journal_grows $NAME

say "read-only, on top of a backing file"
ask $NAME "dd if=zero of=xvdb count=1" 'EROFS' > /dev/null
same "what the guest reads there" "$(sha256sum < $BASES/block-image.img | cut -d ' ' -f 1)" \
    "$(ask $NAME "sha256 xvdb" '[0-9a-f]{64}' | grep -oE '[0-9a-f]{64}')"

say "the server is killed"
kill -KILL "$pid"
connected $NAME 2
journal_grows $NAME
[ "$(server 51712)" != "$pid" ] || fail "it is still the same server"

say "detached and destroyed"
new_log $NAME
type_to $NAME "journal stop"
line=$(wait_line $NAME '^journal: stopped: ' 240)
[[ $line =~ \ 0\ wrong\;\ ([0-9]+)\ slots,\ last\ (.*) ]] || fail "$line"
slots=${BASH_REMATCH[1]} lasts=${BASH_REMATCH[2]}
disk_detach $NAME xvdb
same "servers" "duet-image-vbd-$(xl domid $NAME)-51712.service" "$(left | grep '\.service')"
xl destroy $NAME
same "what is left" "" "$(left)"
qemu-img check "$WORK/disk.qcow2" || fail "the image is not whole"
qemu-img convert -f qcow2 -O raw "$WORK/disk.qcow2" "$WORK/disk.img"
# shellcheck disable=SC2086
journal_check "$WORK/disk.img" "$slots" $lasts || fail "the blocks on the disk are not right"
