# The network of a Linux guest and of ours, on duet-netd and on xen-netback in the same boot: TCP both ways, ping
# latency, small datagrams both ways, and what the back end's side costs dom0 in CPU time.
# The guest runs iperf3 from an initramfs made here: the lab's, and dom0's iperf3 with its libraries.
. ./lib.sh

UNITS+=(duet-net.service)
SECONDS_EACH=${SECONDS_EACH:-4}
IP=192.168.77.50
servers=()

cleanup() {
    [ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2> /dev/null
    systemctl start duet-net.service
    modprobe -q -r xen-netback || true
}

# figure JSON-TEXT FILE-WORDS...: a number out of iperf3's json.
figure() {
    python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))["end"]
for word in sys.argv[2:]: value = value[word]
print(value)' "$@"
}

# busy: microseconds that dom0's vCPUs have not been idle, since boot.
busy() {
    awk '/^cpu / { print int(($2 + $3 + $4 + $7 + $8) * 1000000 / '"$(getconf CLK_TCK)"') }' /proc/stat
}

# stream LABEL NAME OPTION...: a TCP stream; a row with Mbit/s and dom0's CPU time per MiB.
stream() {
    local label=$1 out="$WORK/iperf.json" began
    shift
    began=$(busy)
    timeout 60 iperf3 -c $IP -t "$SECONDS_EACH" -J "$@" > "$out"
    stream_row "$label" "$(figure "$out" sum_received bits_per_second | awk '{ print $1 / 1e6 }')" \
        "$(figure "$out" sum_received bytes)" $(($(busy) - began))
}

# stream_row LABEL MBIT/S BYTES MICROSECONDS
stream_row() {
    printf '%-6s %-12s %-22s %9.0f Mbit/s %9.0f us/MiB\n' "$GUEST" "$BACKEND" "$1" "$2" \
        "$(echo "$4" "$3" | awk '{ print $1 / ($2 / 1048576) }')"
}

# our_run NAME COMMAND REGEX [IPERF-OPTION...]: our guest runs COMMAND, whose matching line is in LINE then, and
# dom0's CPU time meanwhile in BUSY; with options it is the server of dom0's iperf.
our_run() {
    local name=$1 began
    new_log "$name"
    began=$(busy)
    type_to "$name" "$2"
    if [ $# -gt 3 ]; then
        wait_line "$name" '^serving port 5001' > /dev/null
        timeout 60 iperf "${@:4}" > /dev/null
    fi
    LINE=$(wait_line "$name" "$3")
    BUSY=$(($(busy) - began))
}

# our_stream LABEL NAME COMMAND [IPERF-OPTION...]: a TCP stream of our guest.
our_stream() {
    our_run "$2" "$3" '^(sent|received) [0-9]+ bytes in [0-9.]+ s, [0-9.]+ Mbit/s' "${@:4}"
    [[ $LINE =~ ([0-9]+)\ bytes\ in\ [0-9.]+\ s,\ ([0-9.]+)\ Mbit ]]
    stream_row "$1" "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}" "$BUSY"
}

# packets LABEL OPTION...: 64-byte datagrams; a row with packets a second that arrived.
packets() {
    local label=$1 out="$WORK/iperf.json" began
    shift
    began=$(busy)
    timeout 60 iperf3 -c $IP -u -b 0 -l 22 -t "$SECONDS_EACH" -J "$@" > "$out"
    packets_row "$label" $(($(figure "$out" sum packets) - $(figure "$out" sum lost_packets))) "$SECONDS_EACH" \
        $(($(busy) - began))
}

# our_packets LABEL NAME COMMAND [IPERF-OPTION...]: the same of our guest.
our_packets() {
    our_run "$2" "$3" '^(of these )?received .* datagrams' "${@:4}"
    [[ $LINE =~ in\ ([0-9.]+)\ s,.*\ ([0-9]+)\ of\ [0-9]+\ datagrams ]]
    packets_row "$1" "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}" "$BUSY"
}

# packets_row LABEL PACKETS SECONDS MICROSECONDS
packets_row() {
    echo "$2 $3 $4" | awk -v g="$GUEST" -v b="$BACKEND" -v l="$1" \
        '{ printf "%-6s %-12s %-22s %9.0f packets/s %6.0f us/packet\n", g, b, l, $1 / $2, $3 / $1 }'
}

latency() {
    ping -i 0.02 -c 200 $IP | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n | awk -v g="$GUEST" -v b="$BACKEND" \
        '{ t[NR] = $1 } END { printf "%-6s %-12s %-22s %9.2f ms p50 %9.2f ms p99\n", g, b, "ping", t[int(NR * 0.5)], t[int(NR * 0.99)] }'
}

# linux BACKEND: everything, with a fresh guest.
linux() {
    GUEST=Linux BACKEND=$1
    create "bench-net-$1" "kernel = '$LINUX_KERNEL'" "ramdisk = '$initrd'" "memory = 200" \
        "vif = [ 'bridge=xenbr0' ]" \
        "extra = 'console=hvc0 run=\"ip addr add $IP/24 dev eth0; ip link set eth0 up; iperf3 -s\"'"
    wait_store "/local/domain/0/backend/vif/$(xl domid "bench-net-$1")/0/state" '^4$' 200
    timeout 100 sh -c "until ping -q -c 1 -W 1 $IP > /dev/null; do :; done"
    wait_line "bench-net-$1" 'Server listening' 60 > /dev/null
    latency
    stream "TCP to the guest"
    stream "TCP from the guest" -R
    packets "64 bytes to the guest"
    packets "64 bytes from the guest" -R
    xl destroy "bench-net-$1"
    wait_end "bench-net-$1"
}

# ours BACKEND: the same with our guest.
ours() {
    local name=bench-net-duet-$1
    GUEST=Duet BACKEND=$1
    guest "$name" "memory = 64" "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=$IP/24'"
    wait_prompt "$name"
    timeout 100 sh -c "until ping -q -c 1 -W 1 $IP > /dev/null; do :; done"
    latency
    our_stream "TCP to the guest" "$name" "iperf -s -P 1" -c $IP -t "$SECONDS_EACH"
    our_stream "TCP from the guest" "$name" "iperf -c 192.168.77.1 -t $SECONDS_EACH"
    our_packets "64 bytes to the guest" "$name" "iperf -u -s -P 1" -c $IP -u -l 22 -b 1000000pps -t "$SECONDS_EACH"
    our_packets "64 bytes from the guest" "$name" "iperf -u -c 192.168.77.1 -l 22 -b 0 -t $SECONDS_EACH"
    xl destroy "$name"
    wait_end "$name"
}

initrd=$(linux_initrd iperf3)
iperf -s > /dev/null &
servers+=($!)
iperf -s -u > /dev/null 2>&1 &
servers+=($!)
systemctl start duet-net.service
linux duet-netd
ours duet-netd
systemctl stop duet-net.service
modprobe xen-netback
linux xen-netback
ours xen-netback
