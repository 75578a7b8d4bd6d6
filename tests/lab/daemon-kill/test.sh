#!/bin/bash
# Hundreds of kills (-9) at random moments: of disks' workers, their supervisor, both, of an interface's, of the
# console's, of everything, also while the next one takes over. Meanwhile a Linux guest runs fio (crc32c, depth 32) on
# its disk, sends numbered bytes there and back over one TCP connection, and prints numbered lines, and our guest's
# `journal` writes to its own disk. No I/O error, no write lost, doubled or torn, no byte of the console lost, the
# connection stands, no state in the store moves, and dom0 has in the end what it had in the beginning. How long each
# kind of kill held up what it hit is printed. KILLS and SEED change what is done; kill.py does it.
# timeout: 900
. ./lib.sh

KILLS=${KILLS:-60} SEED=${SEED:-$RANDOM$RANDOM}
UNITS+=(duet-net.service)
IP=192.168.77.53
LINUX=kill-linux DUET=kill-duet

# holdings: what dom0 and the daemons have in use for these guests.
holdings() {
    local pid
    echo "channels $(guest_channels) workers $(processes duet-block-worker) $(processes duet-net-worker)" \
        "$(processes duet-console-worker) openers $(processes duet-block-open)"
    for unit in block net console; do
        pid=$(systemctl show --value --property MainPID duet-$unit.service)
        echo "$unit $(find "/proc/$pid/fd" -lname 'socket:*' | wc -l) sockets"
    done
}

# What guests of other tests had is given back in its own time.
settles "event channels of dom0 to guests, before" 0 guest_channels
settles "workers, before" 0 processes duet-block-worker
say "seed $SEED"
linux_disk=$(image linux.img 16M)
duet_disk=$(image duet.img 4M)
guest $DUET "vcpus = 1" "disk = [ $(disk "$duet_disk") ]"
# One command a line; the console is for the numbered lines alone.
cat > script << GUEST
dmesg -n 1
ip addr add $IP/24 dev eth0
ip link set eth0 up
nc -ll -p 99 -e sh &
nc -ll -p 7 -e cat &
while [ ! -e /tmp/go ]; do usleep 100000; done
(n=0; while [ ! -e /tmp/stop ]; do n=\$((n + 1))
fio --name=kill --filename=/dev/xvda --size=8M --eta=never --rw=randwrite --bsrange=4k-64k --ba=4k --direct=1 --ioengine=libaio \
--iodepth=32 --verify=crc32c --verify_fatal=1 --do_verify=1 --allrandrepeat=1 --randseed=\$n --output=/tmp/fio \
|| { cp /tmp/fio /tmp/failed; break; }
echo \$n > /tmp/rounds; done; touch /tmp/ended) &
(while [ ! -e /tmp/ended ]; do dd if=/dev/xvda of=/dev/null bs=4k count=1 iflag=direct 2> /dev/null || touch /tmp/failed-read
usleep 100000; done) &
i=0; while [ ! -e /tmp/quiet ]; do printf 'seq %08d\n' \$i; i=\$((i + 1)); [ \$((i % 20)) -ne 0 ] || usleep 50000; done
echo \$i > /tmp/printed; sleep 100000
GUEST
mkdir -p "$WORK/extra"
cp script "$WORK/extra/script"
create $LINUX "kernel = '$LINUX_KERNEL'" "ramdisk = '$(linux_initrd fio)'" "memory = 420" \
    "disk = [ $(disk "$linux_disk") ]" "vif = [ 'bridge=xenbr0' ]" \
    "extra = 'console=hvc0 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 run=\"sh /script\"'"
wait_prompt $DUET 120
wait_line $DUET 'xvda: [0-9]+ MiB' > /dev/null
wait_line $LINUX '^linux: ready' 250 > /dev/null
reach $IP
timeout 60 sh -c "until socat -u OPEN:/dev/null TCP:$IP:99; do :; done 2> /dev/null" || fail "the Linux guest serves nobody"
type_to $DUET "journal start xvda"
journal_grows $DUET
settles "back ends that are connected" 3 sh -c "xenstore-ls -f /local/domain/0/backend | grep -c -E '/(vbd|vif)/[0-9]+/[0-9]+/state = \"4\"'"
before=$(holdings)
start=$(stat -c %s "$CONSOLE_LOGS/$LINUX.log")
in_linux $IP 'touch /tmp/go' > /dev/null
xl sched-credit2 -d 0 -w 8192; xl sched-credit2

python3 kill.py "$SEED" "$KILLS" "$(xl domid $LINUX)" "$linux_disk" "$(xl domid $DUET)" "$duet_disk" $IP \
    "$CONSOLE_LOGS/$LINUX.log" "$start" || fail "seed $SEED: see above"

say "all that was written is there"
in_linux $IP 'touch /tmp/quiet /tmp/stop' > /dev/null
# shellcheck disable=SC2016
in_linux $IP 'while [ ! -e /tmp/ended ]; do usleep 100000; done; cat /tmp/rounds; ls /tmp/failed*; cat /tmp/failed; grep lat.*max /tmp/fio' > said
grep -q '/tmp/failed' said && fail "fio: $(cat said)"
say "fio: $(head -n 1 said) rounds, $(grep -c . said) lines"
[ "$(head -n 1 said)" -gt 0 ] || fail "fio has not ended a round"
in_linux $IP 'dmesg' > dmesg
grep -E 'I/O error|blk_update_request|[Cc]all [Tt]race|vif.*(error|bad)' dmesg && fail "the Linux guest saw an error"
journal_grows $DUET
journal_ends $DUET "$duet_disk"
settles "what dom0 holds before, and after" "$before" holdings
