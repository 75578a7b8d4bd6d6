# A limit on a guest's disk, from the configuration: it has what the limit says and no more, by bytes and by requests, while
# the guest beside it goes on. A change is there at once when the file is read anew: nobody connects again. A guest whose limit
# is so low that its requests wait for minutes is not taken for one that hangs, its worker does nothing meanwhile, and may be
# killed, the daemon restarted and the guest saved; when the limit is lifted all that was asked for is there.
# timeout: 300
. ./lib.sh

readonly LIMITED=block-limited BESIDE=block-beside CONF=/etc/duet/duet.conf
cp -p $CONF before.conf
cleanup() {
    mv -f before.conf $CONF
    systemctl reload duet-block.service
}

# limit SENTENCE LINE...: what the configuration says of the limited guest from now on, and the daemon then.
limit() {
    local sentence=$1
    shift
    printf '%s\n' "[block $LIMITED]" "$@" > $CONF
    systemctl reload duet-block.service
    [ -z "$sentence" ] || wait_journal duet-block.service "vbd $(xl domid $LIMITED)/51712: $sentence"
}

# reads BYTES COUNT: the limited guest reads so much; the milliseconds that it took are in TOOK.
reads() {
    local began=${EPOCHREALTIME/./}
    ask $LIMITED "dd if=xvda verify=pattern:5 bs=$1 count=$2" "$(($1 * $2)) bytes verified" 120 > /dev/null
    TOOK=$(((${EPOCHREALTIME/./} - began) / 1000))
    say "$2 reads of $1 bytes: $TOOK ms"
}

worker() {
    pgrep -x duet-block-work -u $((0x70000000 + $(xl domid $LIMITED)))
}

# busy PID: processor time of a process, in hundredths of a second.
busy() {
    awk '{ print $14 + $15 }' "/proc/$1/stat"
}

limited=$(image limited.img 8M) beside=$(image beside.img 4M)
limit "" "bytes-per-second = 1M"
guest $LIMITED "disk = [ $(disk "$limited") ]"
guest $BESIDE "disk = [ $(disk "$beside") ]" "extra = 'run=\"journal start xvda\"'"
wait_prompt $LIMITED
wait_prompt $BESIDE
wait_journal duet-block.service "vbd $(xl domid $LIMITED)/51712: limited to 0 requests and 1048576 bytes a second"
ask $LIMITED "dd if=pattern:5 of=xvda bs=64k count=64" '4194304 bytes copied' > /dev/null

say "a megabyte a second"
reads 65536 64
[ "$TOOK" -ge 2700 ] || fail "a mebibyte may have been saved up, and the other three need as many seconds: $TOOK ms"

say "twenty requests a second"
limit 'limited to 20 requests and 0 bytes a second' "iops = 20"
reads 4096 60
[ "$TOOK" -ge 1900 ] || fail "twenty may have been saved up, and the other forty need two seconds: $TOOK ms"

say "next to nothing: the guest beside it does not notice"
limit 'limited to 0 requests and 4096 bytes a second' "bytes-per-second = 4K"
new_log $LIMITED
type_to $LIMITED "dd if=xvda verify=pattern:5 bs=64k count=64"
pid=$(worker)
before=$(busy "$pid") began=${EPOCHREALTIME/./}
until [ $((${EPOCHREALTIME/./} - began)) -ge 3000000 ]; do
    journal_grows $BESIDE
done
[ $((($(busy "$pid") - before) * 10000)) -le $(((${EPOCHREALTIME/./} - began) / 50)) ] ||
    fail "its worker is busy while it waits"

say "its worker is killed, the daemon restarted, the guest saved"
kill -KILL "$pid"
connected $LIMITED 2
journal_grows $BESIDE
systemctl restart duet-block.service
connected $LIMITED 3
journal_grows $BESIDE
save_restore $LIMITED
wait_journal duet-block.service "vbd $(xl domid $LIMITED)/51712: connected"
same "what was read meanwhile" "" "$(guest_log $LIMITED | grep verified || true)"

say "no limit any more"
pid=$(worker)
limit 'no limit any more'
wait_line $LIMITED '4194304 bytes verified' > /dev/null
same "its worker" "$pid" "$(worker)"
log=$(journalctl -q -o cat --since "@$BEGAN" --unit duet-block.service)
same "workers that were taken to hang" "" "$(grep -E 'does not (move|end|start)|does not answer' <<< "$log" || true)"
journal_ends $BESIDE "$beside"
