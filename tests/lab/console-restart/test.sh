# The daemon is killed with SIGKILL while a guest prints numbered lines: the guest notices nothing, no line is
# missing from its log, the daemon comes back without privileges, and an attached `xl console` goes on by itself.
# timeout: 300
. ./lib.sh

unit=duet-console.service

# The number that the guest has printed last.
last_printed() {
    guest_log con-restart | tail -c 4096 | sed -n 's/^seq \([0-9]*\)$/\1/p' | tail -n 1
}

# workers: those of the daemon.
workers() {
    pgrep -P "$(main_pid $unit)" || true
}

say "the guest prints numbered lines until it is told to stop, and does what is typed"
linux_guest con-restart "extra = 'console=hvc0 run=\"dmesg -n 1; stty -echo; \
(i=0; while [ ! -e /stop ]; do echo seq \$i; i=\$((i+1)); [ \$((i % 50)) -gt 0 ] || usleep 20000; done; echo last-\$i-) & \
while read -r line; do eval \$line; done\"'"
wait_line con-restart '^seq 100$' 150 > /dev/null
restarts=$(systemctl show -p NRestarts --value $unit)

say "the daemon is killed three times meanwhile: the supervisor, the worker, both"
for round in 1 2 3; do
    case $round in
        1) kill -9 "$(main_pid $unit)" ;;
        2) kill -9 "$(workers)" ;;
        3) kill -9 "$(main_pid $unit)" "$(workers)" ;;
    esac
    settles "restarts" $((restarts + round)) systemctl show -p NRestarts --value $unit
    settles "workers" 1 sh -c "pgrep -c -P $(main_pid $unit) || true"
    # What is printed from here on comes through the next daemon.
    wait_line con-restart "^seq $(($(last_printed) + 300))\$" 120 > /dev/null
done
console_attach con-restart
console_type 'touch /stop'
wait_line con-restart 'last-[0-9]+-' 120 > /dev/null
last=$(guest_log con-restart | sed -n 's/^.*last-\([0-9]*\)-$/\1/p')

say "nothing of the $last lines is missing, and their order is right"
# A batch may stand twice when the kill hits between its logging and its consumption: skip what is not new.
guest_log con-restart | sed -n 's/^.*seq \([0-9][0-9]*\)$/\1/p' \
    | awk -v last="$last" '$1 == n { n++ } $1 > n { print "after " n - 1 " came " $1; wrong = 1; exit }
                           END { if (!wrong && n != last) print "ended with " n - 1; exit wrong || n != last }' \
    || fail "the sequence in the log is broken"

say "systemd has started it again each time, and it runs without privileges"
pid=$(main_pid $unit)
same "restarts" $((restarts + 3)) "$(systemctl show -p NRestarts --value $unit)"
worker=$(workers)
for process in "$pid" "$worker"; do
    same "effective capabilities" 0000000000000000 "$(awk '/^CapEff/ {print $2}' "/proc/$process/status")"
    same "bounding set" 0000000000000000 "$(awk '/^CapBnd/ {print $2}' "/proc/$process/status")"
    same "no new privileges" 1 "$(awk '/^NoNewPrivs/ {print $2}' "/proc/$process/status")"
    same "seccomp mode" 2 "$(awk '/^Seccomp:/ {print $2}' "/proc/$process/status")"
    same "user" duet-console "$(ps -o user:20= -p "$process" | tr -d ' ')"
done
same "what the worker's root is" "$(stat -L -c '%d %i' "$CONSOLE_LOGS")" "$(stat -L -c '%d %i' "/proc/$worker/root")"
same "sockets of the worker: the journal and the supervisor" 2 \
    "$(find "/proc/$worker/fd" -lname 'socket:*' | wc -l)"

say "an attached client goes on after a kill, and after a restart on purpose"
# It shows the history again when it has found the new terminal; what is typed before that it drops.
console_expect 'last-[0-9]+-'
kill -9 "$pid"
console_expect 'last-[0-9]+-'
console_type "echo after-\$((3 + 3))"
console_expect 'after-6'
systemctl restart $unit
console_expect 'after-6'
console_type "echo again-\$((4 + 4))"
console_expect 'again-8'
console_detach
