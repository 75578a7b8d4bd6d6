# The kernel is small: the gzipped image is under 353 kB, and 8 MiB are enough for prompt, console and disk.
. ./lib.sh

size=$(stat -c %s $GUEST_KERNEL)
[ "$size" -lt 366000 ] || fail "$GUEST_KERNEL has $size bytes"
say "$GUEST_KERNEL has $size bytes"

disk=$(image small.img 4M)
head -c 4M /dev/urandom > "$disk"
guest small "memory = 8" "disk = [ $(disk "$disk") ]" "extra = 'run=\"mem; sha256 xvda\"'"
line=$(wait_line small '^[0-9a-f]{64} ')
same "sha256 of the disk" "$(sha256sum < "$disk" | cut -d ' ' -f 1)" "${line%% *}"
wait_prompt small
