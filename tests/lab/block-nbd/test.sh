# A disk that is an export of an NBD server, QEMU's, while our guest writes numbered blocks: the server is killed and comes back,
# the worker is killed, the daemon restarts: a pause, no error, and every block is where it belongs. A guest that is to wait for
# so many seconds only gets errors then, and its disk again when the server is back. Without a server xl says so at once.
# timeout: 600
. ./lib.sh

readonly NAME=block-nbd DROPIN=/run/systemd/system/duet-block.service.d/block-nbd.conf
image=$(image disk.img 8M)

cleanup() {
    nbd_kill
    if [ -e $DROPIN ]; then
        rm $DROPIN
        systemctl daemon-reload
        systemctl restart duet-block.service
    fi
}

say "without a server there is a sentence"
printf '%s\n' "name = 'block-nbd-none'" "kernel = '$GUEST_KERNEL'" "memory = 32" "disk = [ $(nbd_disk disk) ]" > none.cfg
timeout 60 xl create -q none.cfg 2> said && fail "a guest was created without a server"
grep -F "image nbd+unix:///disk?socket=$NBD_SOCKET: " said | grep 'No such file' > /dev/null || fail "xl says: $(cat said)"

nbd_serve disk="$image"
guest $NAME "disk = [ $(nbd_disk disk) ]"
wait_prompt $NAME
type_to $NAME "journal start xvda"
journal_grows $NAME
for n in 2 3 4; do
    say "the server is killed, and back: $((n - 1))"
    nbd_kill
    wait_journal duet-block.service "vbd $(xl domid $NAME)/51712: image nbd.*the connection to the server is lost; opens it again"
    [ $n -ne 3 ] || sleep 12 # what xl would wait is over, and the guest's patience is not
    nbd_serve disk="$image"
    connected $NAME $n
    journal_grows $NAME
done
say "the worker is killed"
pkill -KILL -x duet-block-work
connected $NAME 5
journal_grows $NAME
say "the daemon restarts"
systemctl restart duet-block.service
connected $NAME 6
journal_grows $NAME
journal_ends $NAME "$image"

say "a guest that is not to wait gets errors, and its disk again"
mkdir -p "${DROPIN%/*}"
printf '%s\n' '[Service]' 'ExecStart=' 'ExecStart=/usr/sbin/duet-blockd --nbd-wait 3' > $DROPIN
systemctl daemon-reload
systemctl restart duet-block.service
connected $NAME 7
nbd_kill
wait_journal duet-block.service 'the server has been away for 3 s; until it is back every request is answered by an error' 60
connected $NAME 8
ask $NAME "sync xvda" 'EIO' > /dev/null
nbd_serve disk="$image"
connected $NAME 9
ask $NAME "dd if=pattern:1 of=xvda bs=4096 seek=3 count=1" '^4096 bytes copied' > /dev/null
