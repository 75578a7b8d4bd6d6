# What the daemons say of a guest is found in the journal by its name, whichever of their processes said it. The configuration
# file is read anew without a pause: what it has for one guest holds for that one, at once, and a line that is wrong is told
# and costs nothing else.
# timeout: 300
. ./lib.sh

DAEMONS=(duet-console.service duet-block.service duet-net.service)
UNITS+=(duet-net.service)
CONF=/etc/duet/duet.conf
cp -p $CONF before.conf
cleanup() {
    mv -f before.conf $CONF
    systemctl reload "${DAEMONS[@]}"
}

# said FIELD=VALUE...: what was said since the test began, with all of these fields.
said() {
    journalctl -q --no-pager -o cat --since "@$BEGAN" "$@"
}

# wait_said REGEX FIELD=VALUE...: until there is such a line.
wait_said() {
    local regex=$1 found=1
    shift
    exec {lines}< <(exec timeout "$(scaled 60)" journalctl -q -f -o cat --since "@$BEGAN" -n all "$@")
    ! grep -q -m 1 -E -- "$regex" <&"$lines" || found=0
    exec {lines}<&-
    [ $found -eq 0 ] || fail "no line '$regex' in the journal with $*"
}

# counts NAME: how often the console daemon has told how this guest's console is.
counts() {
    said DUET_DOMAIN="$1" | grep -c 'held back' || true
}

# held NAME: asks it, and prints how often the guest's rate has held it back.
held() {
    local before
    before=$(counts "$1")
    systemctl kill -s USR1 --kill-who=main duet-console.service
    settles "counts of $1" $((before + 1)) counts "$1"
    said DUET_DOMAIN="$1" | sed -n 's/.*held back \([0-9]*\) times.*/\1/p' | tail -n 1
}

# prints_much NAME: some 6 KB, for which a rate of 1 KiB a second takes seconds.
prints_much() {
    new_log "$1"
    type_to "$1" 'echo begin; help; help; help; echo end'
    wait_line "$1" '^end' > /dev/null
}

# reloads: how often the console daemon has read the file.
reloads() {
    said _SYSTEMD_UNIT=duet-console.service | grep -c '^Hangup: reads' || true
}

processes() {
    systemctl show -p MainPID -p NRestarts "${DAEMONS[@]}" | xargs
}

disk=$(image disk.img 8M)
guest config-one "disk = [ $(disk "$disk") ]" "vif = [ 'bridge=xenbr0' ]"
guest config-two
wait_prompt config-one
wait_prompt config-two
domid=$(xl domid config-one)
before=$(processes)

say "each daemon's lines about a guest, by its name"
wait_said "^vbd $domid/51712: connected" DUET_DOMAIN=config-one DUET_DEVICE=vbd/51712 _SYSTEMD_UNIT=duet-block.service
wait_said "^vif $domid/0: connected" DUET_DOMAIN=config-one DUET_DEVICE=vif/0 _SYSTEMD_UNIT=duet-net.service
wait_said "^console $domid/0: console of" DUET_DOMAIN=config-one DUET_DOMID="$domid" _SYSTEMD_UNIT=duet-console.service
same "lines of another guest among them" 0 "$(said DUET_DOMAIN=config-one | grep -c -F config-two || true)"

say "and the words of workers"
truncate -s 16M "$disk"
wait_said "^vbd $domid/51712: the disk has 32768 sectors now" DUET_DOMAIN=config-one
same "times that its rate has held it back" 0 "$(held config-one)"
wait_said "^console $domid/0: [0-9]+ bytes printed" DUET_DOMAIN=config-one _SYSTEMD_UNIT=duet-console.service

say "a file with wrong lines"
cat > $CONF << 'END'
[net]
max-queues = 99
[console config-one]
rate = 1
history = much
END
for daemon in blockd consoled netd; do
    status=0 wrong=1
    [ $daemon != blockd ] || wrong=0
    /usr/sbin/duet-$daemon --check > check.out 2>&1 || status=$?
    say "duet-$daemon --check: $(cat check.out)"
    same "its exit status" $wrong $status
done
! duet-backends check > /dev/null 2>&1 || fail "duet-backends finds nothing wrong"
systemctl reload "${DAEMONS[@]}"
wait_journal duet-net.service '^/etc/duet/duet.conf:2: max-queues = 99: not a number from 1 to 8; this line is left out'
wait_journal duet-console.service '^/etc/duet/duet.conf:5: history = much: not a number from 1 to 65536; this line is left out'

say "the line that is right holds, for its guest alone and at once"
prints_much config-one
prints_much config-two
held=$(held config-one)
[ "$held" -gt 0 ] || fail "its rate has not held it back"
same "times that the other's has" 0 "$(held config-two)"

say "without the file all is as before"
rm $CONF
systemctl reload "${DAEMONS[@]}"
settles "reloads" 2 reloads
prints_much config-one
same "times that its rate has held it back" "$held" "$(held config-one)"
same "the daemons' processes" "$before" "$(processes)"
