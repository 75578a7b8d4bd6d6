# A guest that floods its console, and one whose reader has stopped reading, hold up neither the other
# consoles nor the daemon; the guest with the stuck reader itself goes on.
# timeout: 300
. ./lib.sh

unit=duet-console.service

linux_guest con-flood "extra = 'console=hvc0 run=\"dmesg -n 1; yes flooding-the-console\"'"
linux_guest con-quiet "extra = 'console=hvc0'"
wait_line con-flood '^flooding-the-console' 150 > /dev/null
wait_line con-quiet 'linux: ready' 150 > /dev/null

say "another guest's console answers"
console_attach con-quiet
console_expect 'linux: ready'
console_type "echo alive-\$((5 * 5))"
console_expect '^alive-25'

say "a reader of the flood that is stopped does not stop the guest"
tty=$(xenbus read "/local/domain/$(xl domid con-flood)/console/tty")
socat -u "$tty,raw,echo=0" "EXEC:sleep 1000" &
reader=$!
cleanup() {
    kill -9 $reader 2> /dev/null || true
}
# A full terminal takes some 70 KB; when the log has grown by ten times that, the guest was not held.
before=$(cat "$CONSOLE_LOGS"/con-flood.log* | wc -c)
tail -c +1 -F "$CONSOLE_LOGS/con-flood.log" 2> /dev/null | head -c $((before + 700000)) > /dev/null

say "and still the other guest's console answers"
console_type "echo still-\$((5 * 6))"
console_expect '^still-30'
console_detach

say "the flooding guest can be destroyed, and is gone"
timeout 60 xl destroy con-flood
wait_journal $unit 'let go of the console of "con-flood"'
