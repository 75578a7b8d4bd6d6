# Images that cannot be used: missing, a directory, in use by another guest, locked by a program, mounted,
# empty. Each time `xl` fails at once with a sentence that names the image, the journal has it with the
# device, and the guest that was there before goes on.
# timeout: 600
. ./lib.sh

good=$(image good.img 8M)
linux_guest block-good "disk = [ $(disk "$good") ]" \
    "extra = 'console=hvc0 run=\"until [ -b /dev/xvdz ]; do dd if=/dev/xvda of=/dev/null; echo alive; sleep 0.5; done\"'"
wait_line block-good '^alive' 200 > /dev/null
domid=$(xl domid block-good)

# expect_refused VDEV NUMBER DISK-SPEC REGEX: block-attach fails because it was told so, not because libxl waited its
# ten seconds for nothing (which nothing scales, so that it has three tries), and says REGEX; so does the journal, together
# with the device.
expect_refused() {
    local vdev=$1 number=$2 spec=$3 regex=$4 _
    for _ in 1 2 3; do
        timeout 60 xl -vvv block-attach block-good "vdev=$vdev,$spec" > xl.out 2>&1 && fail "xl block-attach of $spec succeeded"
        timeout 60 xl block-detach block-good "$vdev" > /dev/null 2>&1 || true
        settles "$vdev" gone gone "/local/domain/0/backend/vbd/$domid/$number"
        timed_out xl.out || break
    done
    ! timed_out xl.out || fail "nobody told xl that $spec is refused"
    grep -q -E -- "$regex" xl.out || fail "xl says nothing like '$regex': $(cat xl.out)"
    wait_journal duet-block.service "vbd $domid/$number: .*$regex"
}

# gone PATH: says so when the store has no such node.
gone() {
    xenstore-exists "$1" || echo gone
}

expect_refused xvdb 51728 "script=block-duet,target=$WORK/missing.img" \
    "image $WORK/missing.img: No such file or directory"
expect_refused xvdc 51744 "script=block-duet,target=$WORK" "image $WORK: is a directory"
expect_refused xvdd 51760 "format=raw,access=rw,target=$good" \
    "image $good: in use read-write by vbd $domid/51712, and so not available read-write"
expect_refused xvde 51776 "format=raw,access=ro,target=$good" \
    "in use read-write by vbd $domid/51712, and so not available read-only"

locked=$(image locked.img 8M)
coproc LOCKER { exec python3 -u -c "
import fcntl, struct, sys
f = open('$locked', 'r+')
fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
print('locked')
sys.stdin.read()
"; }
read -r answer <&"${LOCKER[0]}"
same "the other program's lock" locked "$answer"
expect_refused xvdf 51792 "format=raw,access=rw,target=$locked" \
    "image $locked: in use by another program"
kill "$LOCKER_PID"

mounted=$(image mounted.img 16M)
mkfs.ext4 -q -F "$mounted"
loop=$(losetup -f --show "$mounted")
mkdir "$WORK/mnt"
mount "$loop" "$WORK/mnt"
cleanup() {
    umount "$WORK/mnt"
    losetup -d "$loop"
}
expect_refused xvdg 51808 "format=raw,access=rw,target=$loop" "image $loop: in use by this host: mounted on $WORK/mnt"
# The same by its file, for which no lock stands: read-only it may not be used either, being mounted to write.
by="in use by this host: loop device $loop, mounted on $WORK/mnt"
expect_refused xvdi 51840 "format=raw,access=rw,target=$mounted" "image $mounted: $by"
expect_refused xvdj 51856 "format=raw,access=ro,target=$mounted" "image $mounted: $by"

empty=$(image empty.img 0)
expect_refused xvdh 51824 "format=raw,access=rw,target=$empty" \
    "image $empty: is smaller than one sector"

# A missing image does not even get a domain with the stock script: xl itself looks first.
printf '%s\n' "name = 'block-none'" "kernel = '$LINUX_KERNEL'" "memory = 160" \
    "disk = [ 'vdev=xvda,script=block-duet,target=$WORK/missing.img' ]" > none.cfg
output=$(timeout 30 xl create none.cfg 2>&1) && fail "xl create without an image succeeded"
grep -q "image $WORK/missing.img: No such file or directory" <<< "$output" ||
    fail "xl create does not say what is wrong: $output"
wait_end block-none

LOG_START[block-good]=$(stat -c %s "$CONSOLE_LOGS/block-good.log")
wait_line block-good '^alive' 200 > /dev/null
