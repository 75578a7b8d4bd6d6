# The daemon is killed with SIGKILL while a guest prints: the guest notices nothing, of a numbered
# sequence nothing is missing from its log, and an attached `xl console` goes on by itself.
# timeout: 240
. ./lib.sh

LINES_PRINTED=40000
unit=duet-console.service

linux_guest con-restart "extra = 'console=hvc0'"
wait_line con-restart 'linux: ready' > /dev/null
console_attach con-restart
console_expect 'linux: ready'

say "the guest prints $LINES_PRINTED numbered lines, the daemon is killed three times meanwhile"
console_type "dmesg -n 1; i=0; while [ \$i -lt $LINES_PRINTED ]; do echo seq \$i; i=\$((i+1)); done; echo all-\$((1+1))-printed"
for mark in 1000 8000 16000; do
    wait_line con-restart "^seq $mark\$" > /dev/null
    ! guest_log con-restart | grep -q '^all-2-printed' || fail "the guest was done before the daemon was killed"
    pid=$(systemctl show -p MainPID --value $unit)
    kill -9 "$pid"
done
wait_line con-restart '^all-2-printed' 120 > /dev/null

say "nothing is missing, and the order is right"
# A batch may stand twice when the kill hits between its logging and its consumption: drop what is not new.
guest_log con-restart | sed -n 's/^seq \([0-9]*\)$/\1/p' \
    | awk '$1 == next_one { next_one++ } $1 > next_one { print "after " next_one - 1 " came " $1; exit 1 }
           END { if (next_one != '$LINES_PRINTED') { print "ended with " next_one; exit 1 } }' \
    || fail "the sequence in the log is broken"

say "the attached client went on"
console_type "echo after-\$((3 * 3))"
console_expect '^after-9'

say "systemd has started it again each time, and it runs without privileges"
pid=$(systemctl show -p MainPID --value $unit)
[ "$(systemctl show -p NRestarts --value $unit)" -ge 3 ] || fail "systemd did not restart the daemon"
same "effective capabilities" 0000000000000000 "$(awk '/^CapEff/ {print $2}' "/proc/$pid/status")"
same "seccomp mode" 2 "$(awk '/^Seccomp:/ {print $2}' "/proc/$pid/status")"
[ "$(stat -c %u "/proc/$pid/task")" != 0 ] || fail "the daemon runs as root"

say "a clean stop and start is no different"
systemctl restart $unit
console_type "echo again-\$((4 * 4))"
console_expect '^again-16'
console_detach
