#!/bin/bash
# Our daemons are killed (-9) at certain moments: during a flush, a save and a restore, while a disk is attached and
# detached; and what hangs is no better off: a worker that was stopped (SIGSTOP) is replaced, a disk that does not answer is
# told about once and waited for. The guests see pauses, and every block is there. An interface's worker leaves the
# guest's multicast list to the next one.
# timeout: 600
. ./lib.sh

UNITS+=(duet-net.service)
IP=192.168.77.54 SLOW=duet-test-slow
LINUX=moments-linux DUET=moments

cleanup() {
    dmsetup resume $SLOW 2> /dev/null
    dmsetup remove --retry $SLOW 2> /dev/null
    [ -z "${loop:-}" ] || losetup -d "$loop"
}

# supervisor SERVICE: its process, once there is one.
supervisor() {
    settles "a supervisor" 1 pgrep -c -x "duet-$1d"
    main_pid "duet-$1.service"
}

# worker SERVICE DOMAIN: the caged one of that guest.
worker() {
    pgrep -u $((0x70000000 + $(xl domid "$2"))) -f "^[^ ]*/duet-$1-worker" || true
}

# caged SERVICE DOMAIN: the same, once there is one in its cage.
caged() {
    settles "workers of $2" 1 workers "$1" "$2"
    worker "$1" "$2"
}

workers() {
    worker "$1" "$2" | wc -w
}

# kill_of WHOM DOMAIN: the disk's worker of that guest, the supervisor, or both.
kill_of() {
    case $1 in
        worker) kill -KILL "$(worker block "$2")" ;;
        supervisor) kill -KILL "$(supervisor block)" ;;
        both) systemctl kill --signal KILL duet-block.service ;;
    esac
}

# kill_during WHOM DOMAIN COMMAND...: some time within the second that the command takes, at random. If libxl's ten seconds
# for a back end, which nothing scales, were over before the next one was there: false.
kill_during() {
    local whom=$1 domain=$2 status=0 command
    shift 2
    "$@" > xl.out 2>&1 &
    command=$!
    sleep 0.$((RANDOM % 9))
    kill_of "$whom" "$domain" 2> /dev/null || true # which may have no worker yet, or none any more
    wait $command || status=$?
    [ $status -ne 0 ] || return 0
    timed_out xl.out || fail "$whom killed: $*: exit status $status: $(cat xl.out)"
    return 1
}

# cursor, since CURSOR UNIT REGEX: the first line of the unit after that place of the journal which matches.
cursor() {
    journalctl -q -n 1 --show-cursor | sed -n 's/^-- cursor: //p'
}

since() {
    exec {lines}< <(exec timeout "$(scaled 60)" journalctl -q -f -o cat --after-cursor "$1" --unit "$2")
    local follower=$! found=0
    grep -m 1 -E -- "$3" <&"$lines" || found=1
    kill $follower 2> /dev/null || true
    exec {lines}<&-
    [ $found -eq 0 ] || fail "$2 has not said '$3'"
}

truncate -s 16M "$WORK/slow.img"
loop=$(losetup --find --show --direct-io=on "$WORK/slow.img")
# table MS: reads and writes are done at once, flushes after so long.
table() {
    echo "0 32768 delay $loop 0 0 $loop 0 0 $loop 0 $1"
}
dmsetup create $SLOW --table "$(table 0)"
linux_guest $LINUX "disk = [ 'format=raw,vdev=xvda,access=rw,target=/dev/mapper/$SLOW' ]" \
    "extra = 'console=hvc0 run=\"dmesg -n 1; stty -echo; dd if=/dev/urandom of=/tmp/random bs=64k count=4; \
sha256sum < /tmp/random; while read -r line; do eval \$line; done\"'"
disk_image=$(image ours.img 8M)
extra=$(image extra.img 8M)
guest $DUET "disk = [ $(disk "$disk_image") ]" "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=$IP/24'"
wait_prompt $DUET 120
wait_line $DUET 'xvda: [0-9]+ MiB' > /dev/null
sum=$(wait_line $LINUX '^[0-9a-f]{64}  -' 200)
type_to $DUET "journal start xvda"
journal_grows $DUET
id=$(xl domid $DUET)

# flushes_take MS: from now on; those that wait are done.
flushes_take() {
    dmsetup suspend --nolockfs $SLOW
    dmsetup reload $SLOW --table "$(table "$1")"
    dmsetup resume $SLOW
}

# flushing: whether flushes wait, which are the last number that the device tells.
flushing() {
    [ "$(dmsetup status $SLOW | awk '{ print $NF }')" -gt 0 ] && echo yes
}

# written N: what the Linux guest was told is written is there.
written() {
    found=$(dd if="$WORK/slow.img" bs=64k skip=$(($1 * 4)) count=4 iflag=direct status=none | sha256sum)
    same "sha256 of part $1" "$sum" "$found"
}

say "during a flush"
n=0
for whom in worker supervisor both; do
    n=$((n + 1))
    flushes_take $((60000 * FACTOR / 100))
    type_to $LINUX "dd if=/tmp/random of=/dev/xvda bs=64k seek=$((n * 4)) count=4 conv=fsync && echo did-$n-\$((1 + 1))"
    settles "flushes under way" yes flushing
    kill_of $whom $LINUX
    flushes_take 0
    wait_line $LINUX "^did-$n-2" 120 > /dev/null
    written $n
done

say "a disk that does not answer"
pid=$(caged block $LINUX)
from=$(cursor)
dmsetup suspend --nolockfs $SLOW
type_to $LINUX "dd if=/tmp/random of=/dev/xvda bs=64k seek=16 count=4 conv=fsync && echo did-4-\$((1 + 1))"
since "$from" duet-block 'the storage does not answer at sector' > /dev/null
same "the worker that waits" "$pid" "$(worker block $LINUX)"
kill -KILL "$pid"
dmsetup resume $SLOW
wait_line $LINUX '^did-4-2' 120 > /dev/null
written 4
same "lines about it" 1 "$(journalctl -q -o cat --after-cursor "$from" --unit duet-block | grep -c 'the storage does not answer')"
new_log $LINUX
type_to $LINUX "dmesg; echo all-\$((1 + 1))"
wait_line $LINUX '^all-2' > /dev/null
guest_log $LINUX | grep -i -E 'i/o error' && fail "the Linux guest saw an error"
xl destroy $LINUX

say "a worker that was stopped"
for class in block net; do
    pid=$(caged $class $DUET)
    from=$(cursor)
    kill -STOP "$pid"
    since "$from" duet-$class 'the worker does not move: killed' > /dev/null
    since "$from" duet-$class "$id/[0-9]*: connected" > /dev/null
    [ "$(worker $class $DUET)" != "$pid" ] || fail "the worker that does not move was not replaced"
done
journal_grows $DUET
reach $IP

say "what a worker leaves: the multicast list"
# filtered: how many packets were not for the guest.
filtered() {
    local from line
    from=$(cursor)
    systemctl kill --kill-whom=main --signal USR1 duet-net.service
    line=$(since "$from" duet-net "vif $id/0: from the guest")
    [[ $line =~ to\ the\ guest:.*,\ ([0-9]+)\ dropped ]]
    echo "${BASH_REMATCH[1]}"
}

pid=$(caged net $DUET)
from=$(cursor)
kill -KILL "$pid"
since "$from" duet-net "vif $id/0: connected" > /dev/null
before=$(filtered)
python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('192.168.77.1'))
for _ in range(50):
    s.sendto(b'not for you', ('239.9.9.9', 4242))
"
reach $IP # behind these
after=$(filtered)
[ $((after - before)) -ge 50 ] || fail "of 50 packets to a group that the guest is not in $((after - before)) were kept from it"

for whom in supervisor worker both supervisor worker both; do
    say "while a disk is attached and detached: $whom"
    new_log $DUET
    spec=$(disk "$extra" xvdc | tr -d "'")
    kill_during $whom $DUET timeout 60 xl -vvv block-attach $DUET "$spec" || { disk_detach $DUET xvdc; disk_attach $DUET "$spec"; }
    wait_line $DUET 'xvdc: 8 MiB, 512-byte sectors, read-write, served by domain 0' 60 > /dev/null
    kill_during $whom $DUET timeout 60 xl -vvv block-detach $DUET xvdc || disk_detach $DUET xvdc
    wait_line $DUET 'xvdc: detached' 60 > /dev/null
    same "back ends of xvdc" 1 "$(xenstore-exists "/local/domain/0/backend/vbd/$id/51744" && echo 0 || echo 1)"
done
journal_grows $DUET

for whom in worker supervisor both; do
    say "during a save and a restore: $whom"
    kill_during $whom $DUET timeout 120 xl save $DUET "$WORK/saved"
    wait_end $DUET 60
    new_log $DUET
    kill_during $whom $DUET timeout 120 xl -vvv restore -e "$WORK/saved" ||
        timeout 120 xl restore -e "$WORK/saved" > xl.out 2>&1 || fail "xl restore: $(cat xl.out)"
    wait_line $DUET 'suspend: away [0-9]+ ms, resumed as domain' 120 > /dev/null
    journal_grows $DUET
done
journal_ends $DUET "$disk_image"
