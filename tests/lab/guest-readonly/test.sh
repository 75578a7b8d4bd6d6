#!/bin/bash
# A disk attached read-only refuses our guest's writes with an error that names disk, place and cause,
# nothing on it changes, and reading goes on.
. ./lib.sh

image=$(image ro.img 4M)
dd if=/dev/urandom of="$image" bs=1M count=4 conv=notrunc status=none
before=$(sha256sum < "$image")
guest reader "disk = [ $(disk "$image" xvda ro) ]" "on_poweroff = 'destroy'" \
    "extra = 'run=\"dd if=pattern:1 of=xvda count=1; dd if=zero of=xvda bs=512 seek=100 count=1; sync xvda;\
 sha256 xvda; lsdev; halt\"'"
wait_end reader
same "exit statuses" "1 1 0 0 0" "$(guest_log reader | sed -n 's/^status: //p' | xargs)"
guest_log reader | grep -xF 'dd: xvda: write at byte 0: EROFS (the disk is read-only)' > /dev/null \
    || fail "no error for the first write"
guest_log reader | grep -xF 'dd: xvda: write at byte 51200: EROFS (the disk is read-only)' > /dev/null \
    || fail "no error for the second write"
guest_log reader | grep -E '^device/vbd/51712 .* xvda 4 MiB ro up' > /dev/null || fail "lsdev does not say ro"
same "the image" "$before" "$(sha256sum < "$image")"
same "the guest's hash" "${before%% *}" "$(guest_log reader | grep -oE '^[0-9a-f]{64}')"
