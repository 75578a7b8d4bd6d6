# A read-only disk is read-only: Linux sees it so and refuses to write; two guests read the same image at the
# same time. A guest that ignores that its disk is read-only gets an error, the journal says so with the
# device, and the image is unchanged. (That guest is a Linux whose back end's `info` was changed behind the
# daemon's back before it read it.)
# timeout: 600
. ./lib.sh

# lines TEXT SIZE: what `yes TEXT` prints first.
lines() {
    yes "$1" | head -c "$2" || true
}

shared=$(image shared.img 8M)
lines "read only" 8M > "$shared"
before=$(sha256sum < "$shared")

commands='sha256sum /dev/xvda; echo no | dd of=/dev/xvda conv=fsync || echo refused; echo waiting; '
commands+='until [ -b /dev/xvdb ]; do sleep 0.2; done; '
commands+='echo no | dd of=/dev/xvdb conv=sync,fsync || echo refused again'
for name in block-ro-1 block-ro-2; do
    linux_guest $name "disk = [ $(disk "$shared" xvda ro) ]" \
        "extra = 'console=hvc0 run=\"$commands\"'"
done
for name in block-ro-1 block-ro-2; do
    same "sha256 in $name" "${before%% *}  /dev/xvda" "$(wait_line $name '^[0-9a-f]{64}  /dev/xvda' 200)"
    same "a write in $name" refused "$(wait_line $name '^refused' 200)"
    wait_line $name '^waiting' 200 > /dev/null
    id=$(xl domid $name)
    same "info in the store" 4 "$(xenstore-read "/local/domain/0/backend/vbd/$id/51712/info")"
done

# The daemon is held up while the guest is told to connect, and the guest while the daemon does.
daemon=$(main_pid duet-block.service)
cleanup() {
    kill -CONT "$daemon" 2> /dev/null
    systemctl service-watchdogs yes
}
back=/local/domain/0/backend/vbd/$id/51728
xl pause block-ro-2
timeout 60 xl block-attach block-ro-2 "format=raw,vdev=xvdb,access=ro,target=$shared"
systemctl service-watchdogs no # or systemd would kill it for being silent
kill -STOP "$daemon"
xl unpause block-ro-2
wait_store "/local/domain/$id/device/vbd/51728/state" '^3$' 120
xl pause block-ro-2
kill -CONT "$daemon"
wait_store "$back/state" '^4$' 120
xenstore-write "$back/info" 0
xl unpause block-ro-2

wait_line block-ro-2 '^refused again' 200 > /dev/null
wait_journal duet-block.service "vbd $id/51728: refused request of the guest: write to a read-only disk"
same "the image" "$before" "$(sha256sum < "$shared")"
