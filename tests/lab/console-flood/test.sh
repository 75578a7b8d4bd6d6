# A guest that floods its console, and one whose reader has stopped reading, hold up neither the other
# consoles nor the daemon; the guest with the stuck reader itself goes on.
# timeout: 480
. ./lib.sh

unit=duet-console.service

linux_guest con-flood "extra = 'console=hvc0 run=\"dmesg -n 1; yes flooding-the-console\"'"
guest con-quiet
wait_line con-flood '^flooding-the-console' 150 > /dev/null
wait_prompt con-quiet 150

say "another guest's console answers"
console_attach con-quiet
console_type "echo alive-25"
console_expect '^alive-25' 150

say "a reader of the flood that is stopped does not stop the guest"
tty=$(xenbus read "/local/domain/$(xl domid con-flood)/console/tty")
stty -F "$tty" raw -echo
sleep 480 < "$tty" > /dev/null 2>&1 &
reader=$!
cleanup() {
    kill -9 $reader 2> /dev/null || true
    rm -f "$CONSOLE_LOGS"/con-flood*
}
# A full terminal takes some 70 KB; when the log has grown by ten times that, the guest was not held.
before=$(cat "$CONSOLE_LOGS"/con-flood.log* | wc -c)
# tail ends by SIGPIPE, when head has got that much.
tail -c +1 -F "$CONSOLE_LOGS/con-flood.log" 2> /dev/null | head -c $((before + 700000)) > /dev/null || true

say "and still the other guest's console answers"
console_type "echo still-30"
console_expect '^still-30' 150
console_detach

say "the flooding guest can be destroyed, and is gone"
timeout 120 xl destroy con-flood
wait_journal $unit 'let go of the console of "con-flood"'
