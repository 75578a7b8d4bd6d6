# An image is made longer and shorter while a Linux guest uses it: the guest sees each change at once, an access past
# the new end fails, and the file never grows by what the guest writes. Our guest sees the changes, too.
# timeout: 600
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

wait_prompt block-resize-ours
truncate -s 12M "$ours"
wait_store "/local/domain/0/backend/vbd/$(xl domid block-resize-ours)/51712/sectors" '^24576$'
