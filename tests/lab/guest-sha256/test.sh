#!/bin/bash
# Our guest reads a disk correctly: its hash of a 256 MiB ext4 image full of real files, and of a part of it, is the
# one that sha256sum computes in dom0.
# timeout: 300
. ./lib.sh

image=$(image ext4.img 256M)
mkfs.ext4 -q -b 4096 -d /usr/share "$image" 2> /dev/null || mkfs.ext4 -q -b 4096 -d /usr/lib/xen-4.17 "$image"

guest sha "disk = [ $(disk "$image" xvda ro) ]" \
    "extra = 'run=\"sha256 xvda; sha256 xvda 1M 3M; sha256 xvda 255M; sha256 xvda 256M 512; halt\"'" \
    "on_poweroff = 'destroy'"

hash_part() {
    dd if="$image" bs=1M skip="$1" count="$2" status=none | sha256sum | cut -d ' ' -f 1
}
whole=$(sha256sum < "$image" | cut -d ' ' -f 1)
wait_end sha 240
same "the guest's hashes" "$whole
$(hash_part 1 3)
$(hash_part 255 1)" "$(guest_log sha | grep -oE '^[0-9a-f]{64}')"
guest_log sha | grep '^sha256: xvda: offset 268435456 and length 512 reach past its end at 268435456$' > /dev/null \
    || fail "no error for a range past the end"
same "exit statuses" "0 0 0 1" "$(guest_log sha | sed -n 's/^status: //p' | xargs)"
