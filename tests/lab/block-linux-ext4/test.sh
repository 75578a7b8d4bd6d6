# An unmodified Linux PV guest on duet-blockd: it mounts an ext4 file system on its second disk, writes 100
# MiB and syncs them; its three disks keep their data apart. Afterwards the file system is clean, what it
# holds is what the guest wrote, nothing of the kernel's or QEMU's back ends was involved, and no loop
# device either.
# timeout: 600
. ./lib.sh

# lines TEXT SIZE: what `yes TEXT` prints first.
lines() {
    yes "$1" | head -c "$2" || true
}

first=$(image first.img 8M)
data=$(image data.img 256M)
third=$(image third.img 8M)
mkfs.ext4 -q -F "$data"

linux_guest block-ext4 \
    "disk = [ $(disk "$first"), $(disk "$data" xvdb), $(disk "$third" xvdc) ]" \
    "extra = 'console=hvc0 run=\"set -e; \
mount -t ext4 /dev/xvdb /mnt; \
dd if=/dev/urandom of=/mnt/random bs=1M count=100; \
sync; \
sha256sum /mnt/random; \
umount /mnt; \
yes first | dd of=/dev/xvda bs=64k count=64 iflag=fullblock; \
yes third | dd of=/dev/xvdc bs=64k count=64 iflag=fullblock; \
sync\"'"

wrote=$(wait_line block-ext4 '^[0-9a-f]{64}  /mnt/random' 300)
same "status of the guest's commands" "status: 0" "$(wait_line block-ext4 '^status: ' 200)"
wait_end block-ext4 200

e2fsck -fn "$data" || fail "the guest left a damaged file system"
same "first disk" "$(lines first 4M | sha256sum)" "$(head -c 4M "$first" | sha256sum)"
same "third disk" "$(lines third 4M | sha256sum)" "$(head -c 4M "$third" | sha256sum)"
same "loop devices" "" "$(losetup -a)"
same "the kernel's back end" "" "$(lsmod | grep xen_blkback || true)"

mkdir "$WORK/mnt"
mount -o loop,ro "$data" "$WORK/mnt"
found=$(sha256sum < "$WORK/mnt/random")
umount "$WORK/mnt"
same "sha256 of the file that the guest wrote" "${wrote%% *}" "${found%% *}"
