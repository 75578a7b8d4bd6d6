# What goes wrong with a save or a restore is reported in a sentence and spoils nothing. A restore fails while
# duet-block.service is stopped, and while the disk's image is missing or is somebody else's; the saved file
# stays as it was, and restores once that is put right. A save whose file system is full fails, and the guest
# goes on writing to its disk.
# timeout: 300
. ./lib.sh

readonly NAME=save-failures
saved=$WORK/saved

cleanup() {
    systemctl start duet-block.service
    umount "$WORK/full" 2> /dev/null
}

# refused REGEX...: xl restore fails, names each of these, leaves no domain and no device behind.
refused() {
    local regex
    timeout 90 xl restore "$saved" > /dev/null 2> xl.err && fail "xl restore did not fail: expected $*"
    for regex in "$@"; do
        grep -E -- "$regex" xl.err > /dev/null || fail "xl restore did not say '$regex': $(cat xl.err)"
    done
    xl domid $NAME 2> /dev/null && fail "a domain was left behind"
    [ -z "$(xenstore-ls /local/domain/0/backend/vbd 2> /dev/null)" ] || fail "a device was left behind"
    same "the saved file" "$sum" "$(sha256sum < "$saved")"
}

# goes_on: the guest ends two rounds of writing from now on, without an error.
goes_on() {
    new_log $NAME
    wait_line $NAME '^round ' 60 > /dev/null
    wait_line $NAME '^round ' 60 > /dev/null
    if guest_log $NAME | grep -E '^FAILED|I/O error'; then
        fail "the guest saw an error"
    fi
}

image=$(image disk.img 4M)
linux_guest $NAME "memory = 96" "disk = [ $(disk "$image") ]" "extra = 'console=hvc0 loglevel=4 nowatchdog run=\"\
dd if=/dev/urandom of=/tmp/random bs=256k count=4 2> /dev/null; \
n=0; \
while n=\$((n + 1)); \
do \
dd if=/tmp/random of=/dev/xvda bs=1M seek=\$((n % 4)) oflag=direct conv=notrunc,fsync 2> /dev/null && \
dd if=/dev/xvda bs=1M skip=\$((n % 4)) count=1 iflag=direct 2> /dev/null | cmp - /tmp/random && \
echo round \$n || echo FAILED; \
done\"'"
wait_line $NAME '^round ' 200 > /dev/null
goes_on

# No room for the file: the guest was suspended for it, and resumes where it was.
mkdir "$WORK/full"
mount -t tmpfs -o size=8M none "$WORK/full"
timeout 60 xl save $NAME "$WORK/full/saved" 2> xl.err && fail "xl save did not fail for want of room"
grep 'No space left on device' xl.err > /dev/null || fail "xl save did not say why: $(cat xl.err)"
goes_on
say "a save without room: refused, and the guest goes on"

# Nobody is there who takes it, and somebody who refuses.
for other in false 'xl -f no-such-command'; do
    timeout 60 xl migrate -s '' $NAME "$other" 2> xl.err && fail "xl migrate to '$other' did not fail"
    grep -E 'migration (receiver stream|target process)' xl.err > /dev/null ||
        fail "xl migrate to '$other' did not say why: $(cat xl.err)"
    goes_on
done
say "a migration that is refused: the guest goes on"

timeout 60 xl save $NAME "$saved" 2> xl.err || fail "xl save: $(cat xl.err)"
sum=$(sha256sum < "$saved")

systemctl stop duet-block.service
refused 'unable to add device with path /local/domain/0/backend/vbd/[0-9]+/51712'
systemctl start duet-block.service
say "without duet-block.service: refused"

mv "$image" "$image.away"
refused "$image: No such file or directory"
say "without its image: refused"
mv "$image.away" "$image"

exec {lock}<>"$image"
python3 - <<PY
import fcntl, struct
fcntl.fcntl($lock, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # 37: F_OFD_SETLK
PY
refused "image $image: in use by another program of this host"
say "with its image in use elsewhere: refused"
exec {lock}>&-

timeout 60 xl restore "$saved" > /dev/null 2> xl.err || fail "xl restore, all put right: $(cat xl.err)"
goes_on
exit 0
