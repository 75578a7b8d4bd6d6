# A read-only disk is read-only: Linux sees it so, and a write that reaches the back end nevertheless (here
# through a file system that Linux is told to mount writable) fails in the guest. A front end that ignores
# the flag is refused by the daemon, which says so; that is block-gate's business in tests/unit and the
# hostile guest's. Two guests read the same image at the same time.
. ./lib.sh

shared=$(image shared.img 8M)
yes "read only" | head -c 8M > "$shared" || true
before=$(sha256sum < "$shared")

commands='sha256sum /dev/xvda; echo no | dd of=/dev/xvda conv=fsync || echo refused; echo waiting; '
commands+='until [ -b /dev/xvdz ]; do sleep 0.2; done'
for name in block-ro-1 block-ro-2; do
    linux_guest $name "disk = [ $(disk "$shared" xvda ro) ]" \
        "extra = 'console=hvc0 run=\"$commands\"'"
done
for name in block-ro-1 block-ro-2; do
    same "sha256 in $name" "${before%% *}  /dev/xvda" "$(wait_line $name '^[0-9a-f]{64}  /dev/xvda')"
    same "a write in $name" refused "$(wait_line $name '^refused')"
    wait_line $name '^waiting' > /dev/null
    id=$(xl domid $name)
    same "mode in the store" 4 "$(xenstore-read "/local/domain/0/backend/vbd/$id/51712/info")"
done
same "the image" "$before" "$(sha256sum < "$shared")"
