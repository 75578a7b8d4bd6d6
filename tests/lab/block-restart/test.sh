# systemctl restart duet-block while a Linux guest writes: the guest sees a pause and no error, the store's
# states do not change, and not a byte is lost or torn. Three times in a row.
# timeout: 240
. ./lib.sh

image=$(image disk.img 96M)
linux_guest block-restart "disk = [ $(disk "$image") ]" \
    "extra = 'console=hvc0 run=\"set -e; \
dd if=/dev/urandom of=/tmp/random bs=1M count=32; \
sha256sum /tmp/random; \
for n in 1 2 3 4 5 6; do \
echo round \$n; \
dd if=/tmp/random of=/dev/xvda bs=64k seek=\$((n % 3 * 512)) oflag=direct; \
dd if=/dev/xvda bs=64k skip=\$((n % 3 * 512)) count=512 iflag=direct | cmp - /tmp/random; \
done\"'" "memory = 256"
domid=$(xl domid block-restart)
back=/local/domain/0/backend/vbd/$domid/51712

wrote=$(wait_line block-restart '^[0-9a-f]{64}  /tmp/random')
for n in 1 3 5; do
    wait_line block-restart "^round $n" > /dev/null
    systemctl restart duet-block.service
    same "state of the back end after restart" 4 "$(xenstore-read "$back/state")"
done
same "status of the guest's commands" "status: 0" "$(wait_line block-restart '^status: ' 90)"
wait_end block-restart
for part in 0 1 2; do
    found=$(dd if="$image" bs=1M skip=$((part * 32)) count=32 status=none | sha256sum)
    same "sha256 of part $part" "${wrote%% *}" "${found%% *}"
done
guest_log block-restart | grep -i -E 'i/o error|blk_update_request' && fail "the guest saw an error"
exit 0
