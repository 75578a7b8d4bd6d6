# Many read one console at once: three readers at the daemon's socket, one of them a writer, a fourth that has stopped, and
# xl console. All see the same bytes, the slow one is told what it missed; the writing is taken over; the daemon is killed
# meanwhile. And what duet-console says of it.
# timeout: 400
. ./lib.sh

unit=duet-console.service
guest=con-many

# reader NAME OPTION...: attach as NAME; what it shows is in $WORK/NAME, what is said to it in $WORK/NAME.said.
declare -A READER=()
reader() {
    local name=$1
    shift
    duet-console attach "$@" $guest < /dev/null > "$WORK/$name" 2> "$WORK/$name.said" &
    READER[$name]=$!
    ATTACHED+=($!)
}

# seen NAME REGEX [SECONDS], told NAME REGEX: wait until the reader was shown, or told, a line.
seen() {
    await "$WORK/$1" 0 '\r' "$2" "${3:-60}" > /dev/null || fail "$1 was not shown '$2'"
}
told() {
    await "$WORK/$1.said" 0 '\r' "$2" 60 > /dev/null || fail "$1 was not told '$2': $(cat "$WORK/$1.said")"
}

# refused STATUS REGEX COMMAND...: it fails so, with such a sentence.
refused() {
    local status=0 want=$1 regex=$2
    shift 2
    timeout 60 "$@" > refused.out 2> refused.err < /dev/null || status=$?
    same "exit status of $*" "$want" $status
    grep -q -E -- "$regex" refused.err || fail "$*: $(cat refused.err)"
}

# listed EXPRESSION: of the guest in the list.
listed() {
    duet-console list --json | python3 -c "import json, sys
j = [c for c in json.load(sys.stdin) if c['name'] == '$guest'][0]
print($1)"
}

# Somebody who lags is to lag behind the history soon.
mkdir -p /etc/duet
[ ! -e /etc/duet/duet.conf ] || cp -a /etc/duet/duet.conf "$WORK/duet.conf"
printf '[console %s]\nhistory = 4\n' $guest >> /etc/duet/duet.conf
cleanup() {
    rm -f /etc/duet/duet.conf
    [ ! -e "$WORK/duet.conf" ] || cp -a "$WORK/duet.conf" /etc/duet/duet.conf
    systemctl reload $unit || true
}
systemctl reload $unit

linux_guest $guest "extra = 'console=hvc0 run=\"dmesg -n 1; stty -echo; echo ready-\$((40 + 2)); while read -r line; do eval \$line; done\"'"
wait_line $guest '^ready-42' 150 > /dev/null

say "a line is sent, and its answer is in the log"
duet-console send $guest 'echo' "sent-\$((40 + 3))"
wait_line $guest '^sent-43' > /dev/null

say "three readers, one of whom writes, one that has stopped, and xl console"
mkfifo "$WORK/typed"
reader one --read-only --no-history
reader two --read-only --no-history
reader slow --read-only --no-history
duet-console attach --no-history $guest < "$WORK/typed" > "$WORK/writer" 2> "$WORK/writer.said" &
READER[writer]=$! ATTACHED+=($!)
exec {typed}> "$WORK/typed"
console_attach $guest
console_expect '^sent-43'
settles "readers" 4 listed "j['readers']"
settles "who writes" "${READER[writer]}" listed "j['writer']"
same "what else is told of it" "yes True $guest.log" "$(listed "j['served'], j['terminal'], j['log']" | tr -d "(),'")"
duet-console list > list.txt
grep -q -E "^ *$(xl domid $guest) +yes +attached +4 +${READER[writer]} .* $guest\$" list.txt || fail "$(cat list.txt)"
kill -STOP "${READER[slow]}"

say "what the guest prints is the same for all"
# As much as no socket takes, with a history that is soon full, and not line by line: that is the slow part here.
printf 'seq 1 40000 > /tmp/much; cat /tmp/much; echo all-$((7 + 8))-\r' >&"$typed"
for name in one two writer; do
    seen $name '^all-15-' 240
done
console_expect '^all-15-' 240
wait_line $guest '^all-15-' > /dev/null
tail -c "+$((${LOG_START[$guest]} + 1))" "$CONSOLE_LOGS/$guest.log" > log.txt
size=$(stat -c %s "$WORK/writer")
[ "$size" -gt 220000 ] || fail "only $size bytes"
tail -c "$size" log.txt > end.txt
for name in one two writer; do
    cmp end.txt "$WORK/$name" || fail "$name was shown something else; was told: $(cat "$WORK/$name.said")"
done
tail -c "$size" "$shown" | cmp end.txt - || fail "xl console showed something else"

say "the one that had stopped is told how much it missed"
kill -CONT "${READER[slow]}"
seen slow '^all-15-'
told slow 'con-many: [0-9]+ bytes are missing here'
missed=$(sed -n 's/.*: \([0-9]*\) bytes are missing here.*/\1/p' "$WORK/slow.said" | awk '{ sum += $1 } END { print sum }')
same "what it has and what it missed" "$size" $(($(stat -c %s "$WORK/slow") + missed))
tail -c 4000 "$WORK/slow" | cmp - <(tail -c 4000 end.txt) || fail "its end is not the end"

say "one writes; another one takes that over"
refused 1 "^duet-console send: con-many .*: process ${READER[writer]} writes to this console; --take takes over" \
    duet-console send $guest 'echo not-this'
duet-console send --take $guest "echo taken-\$((30 + 6))"
told writer 'process [0-9]+ has taken over the writing; you read on'
told writer 'nobody writes any more: what you type goes to the guest'
seen one '^taken-36'
printf 'echo mine-$((40 + 5))\r' >&"$typed"
seen two '^mine-45'
same "what was not sent" 0 "$(grep -c -a not-this "$WORK/one" || true)"

say "a long line arrives whole"
long=$(printf 'x%.0s' {1..3000})
printf 'echo %s | wc -c\r' "$long" | duet-console send --take $guest
seen one '^3001'

say "the daemon is killed: whoever reads finds the next one"
kill -9 "$(main_pid $unit)"
for name in one two writer; do
    told $name 'the console daemon has ended; waits for the next one'
    told $name 'the console daemon is back: what was printed meanwhile may be missing'
done
settles "readers" 4 listed "j['readers']" # they get what is printed from then on
printf 'echo back-$((60 + 3))\r' >&"$typed"
for name in one two writer slow; do
    seen $name '^back-63'
done
console_expect '^back-63'
systemctl restart $unit
settles "readers" 4 listed "j['readers']"
duet-console send --take $guest "echo again-\$((70 + 2))"
for name in one two writer slow; do
    seen $name '^again-72'
done
console_expect '^again-72'

say "a terminal is as it was, however duet-console ends"
timeout 120 python3 - $guest << 'PYTHON'
import os, pty, select, signal, subprocess, sys, termios

def attach(end):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    # The terminal becomes the program's own, as a shell's is.
    child = subprocess.Popen(["duet-console", "attach", "--read-only", sys.argv[1]], stdin=slave, stdout=slave,
                             stderr=slave, start_new_session=True)
    shown = b""
    while b"again-72" not in shown:
        shown += os.read(master, 4096)
    raw = termios.tcgetattr(slave)
    assert not raw[3] & (termios.ICANON | termios.ECHO | termios.ISIG), "not raw"
    end(master, child)
    while child.poll() is None:  # its last words must not fill the terminal
        if select.select([master], [], [], 0.1)[0]:
            os.read(master, 4096)
    assert termios.tcgetattr(slave) == before, "the terminal is not as it was"
    os.close(master)
    os.close(slave)
    return child.returncode

status = attach(lambda master, child: os.write(master, b"\x1d"))
assert status == 0, status
for signo in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV, signal.SIGABRT:
    status = attach(lambda master, child, signo=signo: child.send_signal(signo))
    assert status == -signo, (signo, status)
PYTHON

say "a log is shown without anything that a terminal obeys"
duet-console log --follow --lines 0 $guest > "$WORK/followed" &
ATTACHED+=($!)
duet-console send --take $guest "printf 'red \\033[31mred\\033[0m \\302\\233 end\\n'; echo follow-\$((80 + 1))"
seen followed '^follow-81'
same "bytes that a terminal obeys" 0 "$(tr -d '\n\t -~' < "$WORK/followed" | wc -c)"
grep -q -F 'red \x1b[31mred\x1b[0m \xc2\x9b end' "$WORK/followed" || fail "$(cat "$WORK/followed")"
same "the last lines" 2 "$(duet-console log -n 2 $guest | wc -l)"
duet-console log --raw $guest | cmp - "$CONSOLE_LOGS/$guest.log"
same "by its number" "$(duet-console log -n 5 $guest)" "$(duet-console log -n 5 "$(xl domid $guest)")"

say "what cannot be is said so that one knows what to do"
refused 1 '^duet-console attach: no-such-guest: there is no such domain; ' duet-console attach no-such-guest
refused 1 '^duet-console log: .*/no-such-guest.log: there is no such log; ' duet-console log no-such-guest
refused 1 'duet-consoled does not listen there .*systemctl status' duet-console list --socket /run/duet/none.sock
refused 2 '^Usage: duet-console attach ' duet-console attach -r -t $guest
refused 1 'only root may read and write consoles' setpriv --reuid=nobody --clear-groups duet-console list
same "the socket" "600 root root" "$(stat -c '%a %U %G' /run/duet/console.sock)"

say "who reads is told that the guest has gone"
exec {typed}>&-
timeout 60 xl destroy $guest
for name in one two writer slow; do
    wait "${READER[$name]}" || fail "$name: exit status $?: $(cat "$WORK/$name.said")"
    told $name 'con-many: the domain has gone'
done
wait "$client" || true
