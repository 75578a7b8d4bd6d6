# A whole Debian, unmodified: its own kernel, initramfs, systemd and root file system on xvda. Its second
# disk takes 100 MiB of ext4 data, a third is attached, used and detached while it runs. After it has shut
# down both file systems are clean and the data is what it wrote.
# timeout: 900
. ./lib.sh

name=block-debian
root=$(image root.img 0)
data=$(image data.img 256M)
extra=$(image extra.img 8M)
cp --sparse=always "$DEBIAN_DISK" "$root"
mkfs.ext4 -q -F "$data"

# does TEXT COMMAND: type a command at root's shell and wait until it has succeeded.
does() {
    type_line "$2 && echo did-$1-\$((1 + 1))"
    wait_line $name "^did-$1-2" 200 > /dev/null
}

say "Debian boots with systemd, up to root's shell on its console"
create $name "kernel = '/usr/lib/duet-lab/vmlinuz'" "ramdisk = '$DEBIAN_INITRD'" "memory = 384" \
    "disk = [ $(disk "$root"), $(disk "$data" xvdb) ]" "extra = 'root=/dev/xvda console=hvc0 quiet'"
back=/local/domain/0/backend/vbd/$(xl domid $name)/51744
attach $name
# The last line before the shell's prompt, which no end of line follows.
wait_line $name '^permitted by applicable law' 400 > /dev/null
does boot 'systemctl is-system-running --wait; systemctl is-active multi-user.target'

say "it writes 100 MiB and syncs them"
does write 'mount /dev/xvdb /mnt && dd if=/dev/urandom of=/mnt/random bs=1M count=100 && sync'
does hash 'sha256sum /mnt/random'
wrote=$(wait_line $name '^[0-9a-f]{64}  /mnt/random')

say "a disk comes and goes while it runs"
timeout 30 xl block-attach $name "format=raw,vdev=xvdc,access=rw,target=$extra"
does attach 'udevadm wait /dev/xvdc && echo data of xvdc | dd of=/dev/xvdc conv=sync,fsync'
same "state of xvdc while in use" 4 "$(xenstore-read "$back/state")"
disk_detach $name xvdc
xenstore-exists "$back" && fail "block-detach left the back end"
does detach 'udevadm wait --removed /dev/xvdc'
same "what the guest wrote to xvdc" "data of xvdc" "$(head -n 1 "$extra" | tr -d '\0')"

say "it shuts down when the toolstack asks"
xl shutdown $name
wait_end $name 200

say "its file systems are clean, and hold what it wrote"
e2fsck -fn "$root" || fail "the guest left a damaged root file system"
e2fsck -fn "$data" || fail "the guest left a damaged file system"
mkdir "$WORK/mnt"
mount -o loop,ro "$data" "$WORK/mnt"
found=$(sha256sum < "$WORK/mnt/random")
umount "$WORK/mnt"
same "sha256 of the file that the guest wrote" "${wrote%% *}" "${found%% *}"
