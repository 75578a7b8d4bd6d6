# What tests and benchmarks share. They run in dom0 as root, in a folder of their own, with TEST set to
# their name, and begin with: . ./lib.sh
#
# A test ends by reaching its end (passed), by fail, or by its first command that fails. Then its guests are
# destroyed and its files removed. Before that, a failed test prints what one needs to understand it.
#
# Limits are in seconds of a quiet machine with two fast cores. The functions below that wait, and `timeout`, which
# is one of them, multiply them by DUET_FACTOR per cent, which `./lab test` has measured.
# shellcheck shell=bash
set -Eeuo pipefail

FACTOR=${DUET_FACTOR:-100}

CONSOLE_LOGS=/var/log/duet/console
GUEST_KERNEL=/usr/lib/duet/duet-guest.gz
LINUX_KERNEL=/usr/lib/duet-lab/vmlinux
LINUX_INITRD=/usr/lib/duet-lab/linux.initrd
DEBIAN_INITRD=/usr/lib/duet-lab/debian.initrd
DEBIAN_DISK=/usr/lib/duet-lab/debian.ext4

WORK=/var/tmp/duet-test/$TEST # disk images and other large files of the test
rm -rf "$WORK"
mkdir -p "$WORK"

declare -a GUESTS=()      # names of the guests created here
declare -a ATTACHED=()    # processes that read their consoles
declare -A LOG_START=()   # size of a guest's console log before it was created
UNITS=(duet-console.service duet-block.service xenstored.service)
BEGAN=${EPOCHREALTIME/,/.} # with what is after the second's point: the test before may have ended in this second

say() {
    echo "$TEST: $*"
}

# timeout SECONDS COMMAND...: the program of that name, with its limit scaled. `exec timeout`, which runs the program
# itself, wants "$(scaled SECONDS)".
timeout() {
    command timeout "$(($1 * FACTOR / 100))" "${@:2}" || return $?
}

# scaled SECONDS: how many seconds that limit has on this machine.
scaled() {
    echo $(($1 * FACTOR / 100))
}

# rounds N LONG: how often something is done: N times, or in a run of `./lab test --long` so often.
rounds() {
    [ -n "${DUET_LONG:-}" ] && echo "$2" || echo "$1"
}

# fail TEXT: end the test with a sentence.
fail() {
    echo "$TEST: FAILED: $*" >&2
    trap - ERR
    exit 1
}

diagnose() {
    echo "---- xl list"
    timeout 10 xl list || true
    echo "---- tail of xl dmesg"
    timeout 10 xl dmesg | tail -n 25 || true
    echo "---- journal of duet's units"
    timeout 20 journalctl --no-pager -q --since "@$BEGAN" "${UNITS[@]/#/--unit=}" | tail -n 60 || true
    echo "---- dom0's kernel log"
    dmesg --since "@$BEGAN" 2>/dev/null | tail -n 20 || dmesg | tail -n 10
    local name
    for name in "${GUESTS[@]}"; do
        echo "---- console of $name"
        guest_log "$name" | tail -n 40 || true
    done
}

finish() {
    local status=$?
    trap - ERR EXIT
    set +e
    [ $status -eq 0 ] || diagnose >&2
    local name
    for name in "${GUESTS[@]}"; do
        xl domid "$name" > /dev/null 2>&1 && timeout 30 xl destroy "$name"
    done
    [ ${#ATTACHED[@]} -eq 0 ] || kill "${ATTACHED[@]}" 2> /dev/null
    if declare -F cleanup > /dev/null; then
        cleanup
    fi
    rm -rf "$WORK"
    exit $status
}
trap finish EXIT
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
trap 'fail "ran out of time"' TERM
trap 'fail "line $LINENO: whom this was written to has ended: $BASH_COMMAND"' PIPE

# guest NAME [CONFIG-LINE...]: create a domain that runs our kernel. `memory` is 32 unless a line sets it.
guest() {
    local name=$1
    shift
    [ -e $GUEST_KERNEL ] || fail "there is no $GUEST_KERNEL: was the guest kernel built and deployed?"
    create "$name" "kernel = '$GUEST_KERNEL'" "memory = 32" "$@"
}

# linux_guest NAME [CONFIG-LINE...]: create a domain that runs the small Linux test guest. It runs
# extra='... run="COMMANDS"' and powers off. Its kernel says only what is wrong, and leaves out what costs time at
# boot: under emulation a seventh of it. xl puts `root` before `extra`, which tests have for themselves.
linux_guest() {
    local name=$1
    shift
    create "$name" "kernel = '$LINUX_KERNEL'" "ramdisk = '$LINUX_INITRD'" "memory = 160" \
        "root = '/dev/ram0 quiet nowatchdog mitigations=off tsc=reliable'" "$@"
}

# initrd_with FOLDER: the small Linux guest's initrd and what is in FOLDER, as FOLDER.initrd; prints where.
initrd_with() {
    (cd "$1" && find . | cpio -o -H newc --quiet) | cat $LINUX_INITRD - > "$1.initrd"
    echo "$1.initrd"
}

# linux_initrd PROGRAM...: the same with programs of dom0 and their libraries, beside what is in $WORK/extra already.
linux_initrd() {
    local root=$WORK/extra program
    mkdir -p "$root/usr/bin"
    for program in "$@"; do
        program=$(command -v "$program")
        cp "$program" "$root/usr/bin/"
        ldd "$program" | grep -o '/[^ ]*' | xargs cp -L --parents -t "$root"
    done
    initrd_with "$root"
}

# in_linux ADDRESS COMMANDS: have a Linux guest that runs `nc -ll -p 99 -e sh` run them; prints what they print.
in_linux() {
    printf '%s\nexit\n' "$2" | timeout 120 busybox nc "$1" 99
}

# create NAME [CONFIG-LINE...]: create a domain from the lines of an xl configuration.
create() {
    local name=$1 log="$CONSOLE_LOGS/$1.log"
    shift
    printf '%s\n' "name = '$name'" "$@" > "$name.cfg"
    GUESTS+=("$name")
    LOG_START[$name]=$(stat -c %s "$log" 2>/dev/null || echo 0)
    timeout 150 xl create -q "$name.cfg" || fail "xl create $name: exit status $?"
}

# guest_log NAME: what the guest has written to its console since create.
guest_log() {
    tail -c "+$((${LOG_START[$1]:-0} + 1))" "$CONSOLE_LOGS/$1.log" 2>/dev/null | tr -d '\r'
}

# new_log NAME: from here on, wait_line, wait_prompt and guest_log look at what the guest writes now.
new_log() {
    LOG_START[$1]=$(stat -c %s "$CONSOLE_LOGS/$1.log")
}

# wait_line NAME REGEX [SECONDS]: wait until a line of the guest's console matches; prints the line.
wait_line() {
    follow "$1" '\r' "$2" "${3:-60}"
}

# wait_prompt NAME [SECONDS]: wait until our guest's shell shows its prompt, `duet# `, for the first time.
wait_prompt() {
    follow "$1" '#' '^duet$' "${2:-60}" > /dev/null
}

# follow NAME SEPARATOR REGEX SECONDS: the guest's console from its creation on, with SEPARATOR ending a
# line too, until a line matches; prints the line.
follow() {
    local found
    found=$(await "$CONSOLE_LOGS/$1.log" "${LOG_START[$1]:-0}" "$2" "$3" "$4") \
        || fail "no line '$3' on the console of $1 within $4 s, times $FACTOR %"
    printf '%s\n' "${found#*:}"
}

# await FILE START SEPARATOR REGEX SECONDS: a growing file from byte START on, with SEPARATOR ending a line
# too, until a line matches; prints `OFFSET:LINE`, its place counted from START.
await() {
    local seconds=$(($5 * FACTOR / 100)) follower line found=1
    # shellcheck disable=SC2016
    exec {lines}< <(exec timeout "$seconds" sh -c 'tail -c "+$1" -F "$2" | stdbuf -o0 tr "$3" "\n"' - \
        "$(($2 + 1))" "$1" "$3" 2>/dev/null)
    follower=$!
    line=$(grep -a -b -m 1 -E -- "$4" <&"$lines") && found=0
    kill "$follower" 2>/dev/null || true
    exec {lines}<&-
    printf '%s\n' "$line"
    return $found
}

# attach NAME: sit down at the guest's console; type_line then types there. What it shows is in its log.
attach() {
    local tty
    tty=/local/domain/$(xl domid "$1")/console/tty
    wait_store "$tty" '^/'
    tty=$(xenstore-read "$tty")
    exec {CONSOLE}<>"$tty"
    stty raw -echo <&"$CONSOLE"
    cat <&"$CONSOLE" > /dev/null 2>&1 &
    ATTACHED+=($!)
}

# type_line TEXT: type a line at the console that was attached last.
type_line() {
    printf '%s\r' "$1" >&"$CONSOLE"
}

# wait_store PATH REGEX [SECONDS]: wait until the store's value matches.
wait_store() {
    local path=$1 regex=$2 seconds=$((${3:-30} * FACTOR / 100)) watcher found=1
    exec {events}< <(exec timeout "$seconds" xenstore-watch "$path" 2>/dev/null)
    watcher=$!
    while read -r _ <&"$events"; do
        if xenstore-read "$path" 2>/dev/null | grep -E -- "$regex" > /dev/null; then
            found=0
            break
        fi
    done
    kill "$watcher" 2>/dev/null || true
    exec {events}<&-
    [ $found -eq 0 ] || fail "$path did not become '$regex' within $seconds s: $(xenstore-read "$path" 2>&1)"
}

# wait_end NAME [SECONDS]: wait until the domain is gone.
wait_end() {
    local name=$1 seconds=$((${2:-60} * FACTOR / 100)) watcher found=1
    exec {events}< <(exec timeout "$seconds" xenstore-watch @releaseDomain 2>/dev/null)
    watcher=$!
    while read -r _ <&"$events"; do
        if ! xl domid "$name" > /dev/null 2>&1; then
            found=0
            break
        fi
    done
    kill "$watcher" 2>/dev/null || true
    exec {events}<&-
    [ $found -eq 0 ] || fail "domain $name is still there after $seconds s"
}

# wait_journal UNIT REGEX [SECONDS]: wait until the unit has logged a matching line since the test began.
wait_journal() {
    local unit=$1 regex=$2 seconds=$((${3:-30} * FACTOR / 100)) follower found=1
    exec {lines}< <(exec timeout "$seconds" journalctl -q -f -o cat --since "@$BEGAN" -n all --unit "$unit")
    follower=$!
    grep -q -m 1 -E -- "$regex" <&"$lines" && found=0
    kill "$follower" 2>/dev/null || true
    exec {lines}<&-
    [ $found -eq 0 ] || fail "no line '$regex' in the journal of $unit within $seconds s"
}

# image NAME SIZE: a sparse file for a guest's disk; prints its path.
image() {
    truncate -s "$2" "$WORK/$1"
    printf '%s\n' "$WORK/$1"
}

# disk PATH [VDEV] [MODE]: the xl disk specification of a raw image.
disk() {
    printf "'format=raw,vdev=%s,access=%s,target=%s'\n" "${2:-xvda}" "${3:-rw}" "$1"
}

# type_to NAME LINE: type a line at a guest's console, whoever reads it.
type_to() {
    local tty
    tty=$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty")
    {
        stty raw -echo <&"$typing"
        printf '%s\r' "$2" >&"$typing"
    } {typing}<> "$tty"
    exec {typing}>&-
}

# journal_grows NAME: the guest's `journal` goes on writing: sooner or later more blocks than at the last call, none
# wrong. The guest's longest pause since it was last asked is in JOURNAL_PAUSE then: "12 ms".
declare -A JOURNALED=()
journal_grows() {
    local name=$1 line written=0 before=${JOURNALED[$1]:-0} deadline=$((EPOCHSECONDS + 60 * FACTOR / 100))
    until [ "$written" -gt "$before" ]; do
        [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "$name: no block was written since $before"
        new_log "$name"
        type_to "$name" "journal status"
        line=$(wait_line "$name" '^journal: running: [0-9]+ written' 120)
        [[ $line =~ running:\ ([0-9]+)\ written,.*\ 0\ wrong ]] || fail "$name: $line"
        written=${BASH_REMATCH[1]}
        line=$(wait_line "$name" '^journal: [0-9]+ ticks of 10 ms, 0 early, longest pause [0-9]+ ms$')
        JOURNAL_PAUSE=${line##*pause }
    done
    JOURNALED[$name]=$written
}

# journal_ends NAME IMAGE: stop the guest's `journal`, which reads all of it back; then read it here.
journal_ends() {
    local name=$1 line
    new_log "$name"
    type_to "$name" "journal stop"
    line=$(wait_line "$name" '^journal: stopped: ' 240)
    [[ $line =~ \ 0\ wrong\;\ ([0-9]+)\ slots,\ last\ (.*) ]] || fail "$name: $line"
    # shellcheck disable=SC2086
    journal_check "$2" "${BASH_REMATCH[1]}" ${BASH_REMATCH[2]} || fail "$name: the blocks on its disk are not right"
}

# journal_check IMAGE SLOTS LAST...: every block of a `journal` is where it belongs, whole, and the latest. See
# guest-kernel/selftest/journal.h.
journal_check() {
    python3 - "$@" << 'PYTHON'
import hashlib
import struct
import sys

path, slots, lasts = sys.argv[1], int(sys.argv[2]), [int(word) for word in sys.argv[3:]]
wrong = 0
with open(path, "rb") as disk:
    for lane, last in enumerate(lasts):
        for slot in range(min(slots, last)):
            disk.seek((lane * slots + slot) * 4096)
            block = disk.read(4096)
            sequence = last - (last - 1 - slot) % slots
            head = b"duet-jnl" + struct.pack("<3Q", lane, slot, sequence)
            want = head + struct.pack("<Q", sequence) * ((4096 - 64) // 8)
            if block != want + hashlib.sha256(want).digest():
                wrong += 1
                print(f"{path}: lane {lane}, slot {slot}: not sequence {sequence}: {block[:40]!r}")
print(f"{sum(lasts)} blocks were written, {sum(min(slots, last) for last in lasts)} read, {wrong} wrong")
sys.exit(wrong != 0)
PYTHON
}

# What a Linux guest runs to write numbered blocks to /dev/xvda, round and round, and to read each back: it says
# `payload SHA256` once, then `round N and` and `round N done`, until there is a file /tmp/stop. A block is 65
# pages, of which the first has the number and the rest are the payload.
# shellcheck disable=SC2016
WRITE_ROUNDS='dd if=/dev/urandom of=/tmp/random bs=256k count=1 2> /dev/null; \
echo payload $(sha256sum < /tmp/random); \
n=0; \
while [ ! -e /tmp/stop ] && n=$((n + 1)); \
do \
{ printf %-4096d $n; cat /tmp/random; } > /tmp/block; \
echo round $n and; \
dd if=/tmp/block of=/dev/xvda bs=260k seek=$((n % 8)) oflag=direct conv=notrunc,fsync 2> /tmp/said && \
dd if=/dev/xvda bs=260k skip=$((n % 8)) count=1 iflag=direct 2> /tmp/said | cmp - /tmp/block && \
echo round $n done || { echo FAILED; cat /tmp/said; break; }; \
done'
WRITE_ROUNDS=${WRITE_ROUNDS//\\$'\n'/}
WRITE_SLOTS=8 WRITE_SIZE=266240

# written_check DISK PAYLOAD BEGUN DONE: what a guest wrote whose last words were `round BEGUN and` and `round
# DONE done`. The round that was under way may have overwritten the oldest one.
written_check() {
    local n found disk=$1 payload=$2 begun=$3 last=$4
    for n in $(seq $((last > 7 ? last - 7 : 1)) "$last"); do
        [ $((n % 8)) -eq $((begun % 8)) ] && [ "$begun" -ne "$last" ] && continue
        found=$(dd if="$disk" bs=260k skip=$((n % 8)) count=1 iflag=direct status=none |
            (head -c 4096 | xargs; sha256sum) | xargs)
        [ "$found" = "$n $payload" ] || { echo "$disk: round $n wrote '$n $payload', found '$found'"; return 1; }
    done
    echo "$last rounds of writing, each found"
}

# save_restore NAME: save a guest of ours to a file, let it go, have it come back; prints how long it was away.
save_restore() {
    local name=$1 file=$WORK/$1.save
    new_log "$name"
    timeout 600 xl save "$name" "$file" > "$name.xl" 2>&1 || fail "xl save $name: $(cat "$name.xl")"
    timeout 600 xl restore -e "$file" > "$name.xl" 2>&1 || fail "xl restore $name: $(cat "$name.xl")"
    rm "$file"
    wait_line "$name" 'suspend: away [0-9]+ ms, resumed as domain' 120 | sed 's/.*suspend: //'
}

# counts_on NAME COMMAND: a program of our guest that prints `count N`, ever more, goes on where its domain is restored.
counts_on() {
    new_log "$1"
    type_to "$1" "$2"
    wait_line "$1" '^count 3$' > /dev/null
    save_restore "$1"
    new_log "$1"
    wait_line "$1" '^count [0-9]+$' > /dev/null
}

# same WHAT EXPECTED FOUND: fail unless the two are equal.
same() {
    [ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
}

# interrupt NAME: type ^C on a guest's console.
interrupt() {
    local tty
    tty=$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty")
    {
        stty raw -echo <&"$typing"
        printf '\003' >&"$typing"
    } {typing}<> "$tty"
    exec {typing}>&-
}

# settles WHAT EXPECTED COMMAND...: wait until COMMAND prints EXPECTED: for what no event tells, as the closing of an
# event channel in another process.
settles() {
    local what=$1 expected=$2 found deadline=$((EPOCHSECONDS + 30 * FACTOR / 100))
    shift 2
    until found=$("$@") && [ "$found" = "$expected" ]; do
        [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "$what: expected '$expected', found '$found'"
        sleep 0.1
    done
}

# users_of PATH: the processes that have it open.
users_of() {
    lsof -t -- "$1" || true
}

# main_pid UNIT: the main process of a service, once there is one: until then systemd says 0, which for kill is everybody here.
main_pid() {
    local pid deadline=$((EPOCHSECONDS + 30 * FACTOR / 100))
    until pid=$(systemctl show --value --property MainPID "$1") && [ "$pid" -gt 0 ]; do
        [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "$1 has no process"
        sleep 0.1
    done
    echo "$pid"
}

# disk_attach NAME SPECIFICATION, disk_detach NAME VDEV: as xl does it, and again where nothing was wrong but that ten seconds,
# libxl's own limit for a back end, which nothing scales, were too short.
disk_attach() {
    local deadline=$((EPOCHSECONDS + 60 * FACTOR / 100))
    [[ $2 =~ vdev=([a-z0-9]+) ]]
    until timeout 60 xl -vvv block-attach "$1" "$2" > xl.disk 2>&1; do
        timed_out xl.disk && [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "xl block-attach $1 $2: $(cat xl.disk)"
        disk_detach "$1" "${BASH_REMATCH[1]}"
    done
}

disk_detach() {
    local deadline=$((EPOCHSECONDS + 60 * FACTOR / 100))
    until timeout 60 xl -vvv block-detach "$1" "$2" > xl.disk 2>&1; do
        timed_out xl.disk && [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "xl block-detach $1 $2: $(cat xl.disk)"
    done
}

# timed_out FILE: whether `xl -vvv`, whose words are in FILE, gave up for libxl's own limit.
timed_out() {
    grep -E 'timed out|because of timeout' "$1" > /dev/null
}

# guest_channels: how many event channels of dom0 lead to a guest, or wait for one to connect.
guest_channels() {
    /usr/lib/xen-4.17/bin/lsevtchn 0 | grep -E 'Interdomain|Waiting' | grep -c -v -E 'Remote Domain 0,|remote domain 0$' || true
}

# processes NAME: how many of that name there are. Of a name the kernel keeps 15 characters.
processes() {
    pgrep -c -x "${1:0:15}" || true
}

# console_attach NAME: run xl console, on a terminal as a person would, until console_detach.
console_attach() {
    shown=$WORK/$1.shown
    seen=0
    : > "$shown"
    coproc CLIENT {
        exec timeout "$(scaled 600)" socat - EXEC:"xl console $1",pty,setsid,ctty,raw,echo=0 > "$shown" 2> /dev/null
    }
    client=$CLIENT_PID
    exec {to_client}>&"${CLIENT[1]}"
}

# console_detach: leave with xl console's escape character, Ctrl-], and wait until it has ended.
console_detach() {
    printf '\035' >&"$to_client"
    wait "$client" || true
    exec {to_client}>&-
}

# console_type LINE: type a line and Enter.
console_type() {
    printf '%s\r' "$1" >&"$to_client"
}

# console_expect REGEX [SECONDS]: wait until a line of what xl console shows matches, after the one that the
# last call found. The line is in CONSOLE_LINE then.
console_expect() {
    local found LC_ALL=C
    found=$(await "$shown" "$seen" '\r' "$1" "${2:-60}") || fail "xl console did not show '$1' within ${2:-60} s, times $FACTOR %"
    CONSOLE_LINE=${found#*:}
    seen=$((seen + ${found%%:*} + ${#CONSOLE_LINE} + 1))
}

# ask NAME LINE REGEX [SECONDS]: type a command line at the guest; prints the first line from then on that matches.
ask() {
    new_log "$1"
    type_to "$1" "$2"
    wait_line "$1" "$3" "${4:-90}"
}

# reach ADDRESS [PING-OPTION...]: wait until it answers.
reach() {
    timeout 120 sh -c 'until ping -q -c 1 -W 1 "$@" > /dev/null; do :; done' - "${@:2}" "$1" ||
        fail "$1 does not answer"
}

# pinged ADDRESS COUNT [PING-OPTION...]: ping it COUNT times and on (-w) until as many answers and some more have come, since ping
# does not wait for the answers to the last; prints what ping says, and is false unless each of the first COUNT was answered.
pinged() {
    local out
    out=$(timeout 120 ping -c $(($2 + 20)) -w "$(scaled 60)" "${@:3}" "$1") || true
    printf '%s\n' "$out"
    sed -n 's/.*icmp_seq=\([0-9]*\) .*/\1/p' <<< "$out" |
        awk -v n="$2" '$1 <= n && !seen[$1]++ { found++ } END { exit found != n }'
}

# guest_pings NAME ADDRESS [PING-OPTION...]: a guest of ours pings it twice, until both are answered: it waits two seconds for
# each, which dom0 may be away for.
guest_pings() {
    local line deadline=$((EPOCHSECONDS + 60 * FACTOR / 100))
    until line=$(ask "$1" "ping -c 2 ${*:3} $2" '^2 sent, ') && [[ $line == "2 sent, 2 received, 0% lost"* ]]; do
        [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "$1 pings $2: $line"
    done
}

# no_interface PATTERN: wait until no network interface has such a name.
no_interface() {
    local path
    for path in $(find /sys/class/net -name "$1"); do
        udevadm wait --timeout="$(scaled 30)" --removed "$path" || fail "interface ${path##*/} is left"
    done
}

# vlan_begin NET: an Open vSwitch, duet-ovs, on whose VLAN 42 dom0 has NET.1 by its port duet-vlan.
vlan_begin() {
    /usr/share/openvswitch/scripts/ovs-ctl start --system-id=random --no-monitor > ovs.log 2>&1 || fail "$(cat ovs.log)"
    ovs-vsctl --if-exists del-br duet-ovs -- add-br duet-ovs -- add-port duet-ovs duet-vlan tag=42 \
        -- set interface duet-vlan type=internal
    ip addr add "$1.1/24" dev duet-vlan
    ip link set duet-vlan up
}

# vlan_end: the reverse, for cleanup.
vlan_end() {
    ovs-vsctl --if-exists del-br duet-ovs
    /usr/share/openvswitch/scripts/ovs-ctl stop > /dev/null
}

# Beyond eth0: echoes TCP, see lab.d/duetlab/machine.py. A guest's way there leads over dom0's 192.168.77.1.
WIRE_ECHO=10.0.2.100

# wire_begin ADDRESS: let the guest of that address reach WIRE_ECHO, and note what leaves by eth0.
wire_begin() {
    sysctl -q net.ipv4.ip_forward=1
    iptables -t nat -A POSTROUTING -s "$1" -o eth0 -j MASQUERADE
    ethtool -K eth0 tx off > /dev/null # so that what is seen is what goes out
    tcpdump -i eth0 -n -vv -s 0 -l --immediate-mode "dst host $WIRE_ECHO" > wire 2> tcpdump.err &
    WIRE=$!
    await tcpdump.err 0 '\n' 'listening on' 30 > /dev/null
}

# wire_check: what was sent since wire_begin, TCP and then UDP, has no wrong checksum.
wire_check() {
    await wire 0 '\n' 'udp sum ok|bad udp cksum' 30 > /dev/null || fail "no datagram was seen on eth0"
    kill -INT "$WIRE"
    wait "$WIRE" || true
    WIRE=
    same "packets with a wrong checksum" "" "$(grep -E 'cksum 0x[0-9a-f]+ \(incorrect|bad udp cksum|wrong icmp cksum' wire | head -n 3 || true)"
    [ "$(grep -c 'cksum 0x.* (correct)' wire)" -gt 50 ] || fail "only $(grep -c '(correct)' wire) segments were seen on eth0"
}

# wire_end ADDRESS: undo wire_begin, for cleanup.
wire_end() {
    [ -z "${WIRE:-}" ] || kill "$WIRE" 2> /dev/null
    iptables -t nat -D POSTROUTING -s "$1" -o eth0 -j MASQUERADE 2> /dev/null
    ethtool -K eth0 tx on > /dev/null 2>&1
    sysctl -q net.ipv4.ip_forward=0
}

# nbd_serve NAME=IMAGE...: an NBD server, QEMU's, on the socket $NBD_SOCKET, whose exports of these names are these images. Its
# process is in NBD_SERVER.
NBD_SOCKET=$WORK/nbd
NBD_SERVER=
nbd_serve() {
    local arg exports=() blocks=()
    for arg; do
        blocks+=(-blockdev "driver=file,node-name=${arg%%=*},filename=${arg#*=},discard=unmap")
        exports+=("{\"execute\": \"block-export-add\", \"arguments\": {\"type\": \"nbd\", \"id\": \"${arg%%=*}\",
            \"node-name\": \"${arg%%=*}\", \"name\": \"${arg%%=*}\", \"writable\": true}}")
    done
    rm -f "$NBD_SOCKET" qmp
    /usr/libexec/xen-qemu-system-i386 -machine none -accel qtest -nodefaults -display none -S \
        -qmp unix:qmp,server=on,wait=off "${blocks[@]}" 2> qemu.err &
    NBD_SERVER=$!
    timeout 60 sh -c 'until [ -S qmp ]; do sleep 0.1; done' || fail "QEMU: $(cat qemu.err)"
    : > qmp.said
    {
        printf '%s\n' '{"execute": "qmp_capabilities"}' "{\"execute\": \"nbd-server-start\", \"arguments\": {\"addr\":
            {\"type\": \"unix\", \"data\": {\"path\": \"$NBD_SOCKET\"}}, \"max-connections\": 0}}" "${exports[@]}"
        timeout 60 sh -c 'until [ "$(grep -c -E "\"(return|error)\":" qmp.said)" -ge "$1" ]; do sleep 0.1; done' - $(($# + 2))
    } | socat - UNIX:qmp > qmp.said
    ! grep '"error"' qmp.said || fail "QEMU: see above"
}

# nbd_kill: the server is killed; its clients' connections end.
nbd_kill() {
    [ -z "$NBD_SERVER" ] || kill -KILL "$NBD_SERVER" 2> /dev/null || true
    wait "$NBD_SERVER" 2> /dev/null || true
    NBD_SERVER=
}

# nbd_disk EXPORT: the xl disk specification of one.
nbd_disk() {
    printf "'format=raw,vdev=xvda,access=rw,script=block-duet,target=nbd+unix:///%s?socket=%s'\n" "$1" "$NBD_SOCKET"
}

# connected NAME COUNT: until the guest's disk xvda was connected so often since the test began.
connected() {
    local found=0 domid deadline=$((EPOCHSECONDS + 90 * FACTOR / 100))
    domid=$(xl domid "$1")
    until [ "$found" -ge "$2" ]; do
        [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "the disk of $1 was connected $found times, not $2"
        sleep 0.5
        found=$(journalctl -q -o cat --since "@$BEGAN" --unit duet-block | grep -c "vbd $domid/51712: connected" || true)
    done
}
