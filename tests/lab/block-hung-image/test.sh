# An image that never opens (another program holds a lease on it) fails `xl create` with a sentence; meanwhile
# ten guests read their disks, another one is created, and the service is the same process afterwards.
# timeout: 300
. ./lib.sh

LEASE='
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
image = open(sys.argv[1], "r+")
fcntl.fcntl(image, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
sys.stdin.read()
'
# What guests of other tests had is given back in its own time.
settles "openers, before" 0 processes duet-block-open
pid=$(systemctl show -P MainPID duet-block.service)
for n in $(seq 10); do
    head -c 64k /dev/urandom > "$(image "$n.img" 64k)"
    guest "hung-$n" "memory = 16" "disk = [ $(disk "$WORK/$n.img") ]"
done
for n in $(seq 10); do
    wait_prompt "hung-$n"
    wait_line "hung-$n" 'xvda: ' > /dev/null
done
openers=$(processes duet-block-open)

leased=$(image leased.img 8M)
old_break=$(cat /proc/sys/fs/lease-break-time)
echo 600 > /proc/sys/fs/lease-break-time
coproc HOLDER { exec python3 -c "$LEASE" "$leased"; }
holder=$HOLDER_PID
cleanup() {
    echo "$old_break" > /proc/sys/fs/lease-break-time
    kill "$holder" 2> /dev/null
}
read -r answer <&"${HOLDER[0]}"
same "the lease" leased "$answer"

printf '%s\n' "name = 'hung-bad'" "kernel = '$GUEST_KERNEL'" "memory = 32" "disk = [ $(disk "$leased") ]" > bad.cfg
timeout 150 xl -vvv create bad.cfg > bad.xl 2>&1 &
bad=$!
settles "openers, with the one that hangs" $((openers + 1)) processes duet-block-open
for n in $(seq 10); do
    new_log "hung-$n"
    type_to "hung-$n" "sha256 xvda"
done
for n in $(seq 10); do
    wait_line "hung-$n" "^$(sha256sum < "$WORK/$n.img" | cut -d ' ' -f 1) " > /dev/null
done
guest hung-new "memory = 16" "disk = [ $(disk "$(image new.img 8M)") ]"
wait_prompt hung-new
wait "$bad" && fail "xl create with an image that does not open succeeded"
why="image $leased: has not opened for 8 s: "
for _ in 1 2 3 4 5 6; do # libxl's limit of ten seconds, which nothing scales, may have come first
    { ! grep "$why" bad.xl > /dev/null && timed_out bad.xl; } || break
    timeout 150 xl -vvv create bad.cfg > bad.xl 2>&1 && fail "xl create with an image that does not open succeeded"
done
grep -q "$why" bad.xl || fail "xl does not say why: $(cat bad.xl)"
xl domid hung-bad > /dev/null 2>&1 && fail "a domain is left"

same "the service's process" "$pid" "$(systemctl show -P MainPID duet-block.service)"
