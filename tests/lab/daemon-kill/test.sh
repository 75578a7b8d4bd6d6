#!/bin/bash
# Dozens of kills (-9), hundreds in the long form, at random moments: of disks' workers, their supervisor, both, of an
# interface's, of the console's, of everything, also while the next one takes over. Meanwhile a Linux guest runs fio
# (crc32c, depth 32) on its disk, sends numbered bytes there and back over one TCP connection, and prints numbered lines,
# and our guest's `journal` writes to its own disk. No I/O error, no write lost, doubled or torn, no byte of the console
# lost, the connection stands, no state in the store moves, and dom0 has in the end what it had in the beginning. How
# long each kind of kill held up what it hit is printed. KILLS and SEED change what is done; kill.py does it.
# timeout: 1500
. ./lib.sh

KILLS=${KILLS:-$(rounds 30 300)} SEED=${SEED:-$RANDOM$RANDOM}
UNITS+=(duet-net.service)
IP=192.168.77.53
LINUX=kill-linux DUET=kill-duet
LOOP=6144 # sectors that fio writes before it verifies them

# holdings: what dom0 and the daemons have in use for these guests.
holdings() {
    local pid
    echo "channels $(guest_channels) workers $(processes duet-block-worker) $(processes duet-net-worker)" \
        "$(processes duet-console-worker) openers $(processes duet-block-open)"
    for unit in block net console; do
        pid=$(main_pid duet-$unit.service)
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
fio --eta=never /load --output=/tmp/fio --output-format=json &
until [ "\$(awk '{ print \$7 }' /sys/block/xvda/stat)" -gt 0 ]; do usleep 200000; done
echo it writes
while [ ! -e /tmp/go ]; do usleep 100000; done
i=0; while [ ! -e /tmp/quiet ]; do printf 'seq %08d\n' \$i; i=\$((i + 1)); [ \$((i % 20)) -ne 0 ] || usleep 50000; done
echo \$i > /tmp/printed; sleep 100000
GUEST
# One process for all of it, since fio starts slowly. Each loop writes everything, other bytes than the last (randrepeat=0:
# else a write that was lost would find the same bytes there), and verifies it; the reader is there for the times in which
# fio only computes.
cat > load << FIO
[global]
filename=/dev/xvda
size=$((LOOP / 2048))M
direct=1
[kill]
rw=randwrite
bsrange=4k-64k
ba=4k
ioengine=libaio
iodepth=32
loops=1000000
randrepeat=0
verify=crc32c
verify_fatal=1
do_verify=1
[look]
rw=randread
bs=4k
rate_iops=10
loops=1000000
FIO
mkdir -p "$WORK/extra"
cp script load "$WORK/extra/"
create $LINUX "kernel = '$LINUX_KERNEL'" "ramdisk = '$(linux_initrd fio)'" "memory = 420" \
    "disk = [ $(disk "$linux_disk") ]" "vif = [ 'bridge=xenbr0' ]" \
    "extra = 'console=hvc0 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 run=\"sh /script\"'"
wait_prompt $DUET 120
wait_line $DUET 'xvda: [0-9]+ MiB' > /dev/null
wait_line $LINUX '^linux: ready' 250 > /dev/null
reach $IP
timeout 60 sh -c "until socat -u OPEN:/dev/null TCP:$IP:99; do :; done 2> /dev/null" || fail "the Linux guest serves nobody"
wait_line $LINUX '^it writes' 250 > /dev/null
type_to $DUET "journal start xvda"
journal_grows $DUET
# What never pauses would take the processor from the one that computes checksums, and from what starts again.
xl sched-credit2 -d $DUET -c 5
settles "back ends that are connected" 3 sh -c "xenstore-ls -f /local/domain/0/backend | grep -c -E '/(vbd|vif)/[0-9]+/[0-9]+/state = \"4\"'"
before=$(holdings)
start=$(stat -c %s "$CONSOLE_LOGS/$LINUX.log")
in_linux $IP 'touch /tmp/go' > /dev/null

python3 kill.py "$SEED" "$KILLS" "$(xl domid $LINUX)" "$linux_disk" "$(xl domid $DUET)" "$duet_disk" $IP \
    "$CONSOLE_LOGS/$LINUX.log" "$start" || fail "seed $SEED: see above"

say "all that was written is there"
# What was written while something died is verified at the end of its loop, and then the next loop writes: so long fio
# goes on.
in_linux $IP "written() { awk '{ print \$7 }' /sys/block/xvda/stat; }; touch /tmp/quiet
    end=\$(((\$(written) - 1) / $LOOP * $LOOP + $LOOP)); until [ \$(written) -gt \$end ]; do usleep 100000; done"
# fio ends its output with what it did, also when it is told to stop.
in_linux $IP 'killall -INT fio; while pidof fio > /tmp/pids; do usleep 100000; done; cat /tmp/fio' > said
python3 - << 'SAID' || fail "fio: $(tail -n 40 said)"
import json
text = open("said", encoding="utf-8").read()
kill, look = json.loads(text[text.index("{"):text.rindex("}") + 1])["jobs"]
print(f"daemon-kill: fio: {kill['write']['io_bytes'] >> 10} KiB written, {kill['read']['io_bytes'] >> 10} KiB verified, "
      f"{look['read']['total_ios']} reads beside")
raise SystemExit(kill["error"] or look["error"] or kill["read"]["io_bytes"] < 3 << 20)
SAID
in_linux $IP 'dmesg' > dmesg
grep -E 'I/O error|blk_update_request|[Cc]all [Tt]race|vif.*(error|bad)' dmesg && fail "the Linux guest saw an error"
journal_grows $DUET
xl sched-credit2 -d $DUET -c 0
journal_ends $DUET "$duet_disk"
settles "what dom0 holds before, and after" "$before" holdings
