# Logs of consoles: renamed guests, logs renamed under the daemon (SIGHUP), and store entries of a
# console that make no sense: the daemon names the guest and the cause, and goes on.
# timeout: 300
. ./lib.sh

unit=duet-console.service
cleanup() {
    rm -f "$CONSOLE_LOGS"/con-log* "$CONSOLE_LOGS"/con-new*
}
cleanup

linux_guest con-log "extra = 'console=hvc0'"
wait_line con-log 'linux: ready' 150 > /dev/null
domid=$(xl domid con-log)
console=/local/domain/$domid/console
console_attach con-log
console_expect 'linux: ready'

say "after a rename and SIGHUP the log is a new file"
mv "$CONSOLE_LOGS/con-log.log" "$CONSOLE_LOGS/con-log.log.old"
systemctl reload $unit
wait_journal $unit 'opened the logs anew'
console_type "echo first-\$((1 + 0))"
console_expect '^first-1'
grep -q '^first-1' "$CONSOLE_LOGS/con-log.log" || fail "the new log does not have what came after"
! grep -q '^first-1' "$CONSOLE_LOGS/con-log.log.old" || fail "the renamed log was written to"

say "logs are nobody else's to read"
same "mode and owner of the directory" "750 duet-console" "$(stat -c '%a %U' "$CONSOLE_LOGS")"
same "mode and owner of a log" "640 duet-console" "$(stat -c '%a %U' "$CONSOLE_LOGS/con-log.log")"

say "a renamed guest continues under its new name"
xl rename con-log con-new
GUESTS=(con-new)
wait_store "/local/domain/$domid/name" con-new
deadline=$((EPOCHSECONDS + $(scaled 60)))
until # what comes before the daemon has seen the name goes to the old log
    console_type "echo second-\$((1 + 1))"
    await "$CONSOLE_LOGS/con-new.log" 0 '\r' '^second-2' 5 > /dev/null
do
    [ "$EPOCHSECONDS" -lt "$deadline" ] || fail "nothing is logged under the new name"
done

say "a malformed ring-ref is named with domain and value, and changes nothing"
ring=$(xenbus read "$console/ring-ref")
xenbus write "$console/ring-ref" 'not a number'
wait_journal $unit "$console/ring-ref.*not a number"
console_type "echo third-\$((1 + 2))"
console_expect '^third-3'

say "an impossible port is named too; with the right one the console is back"
port=$(xenbus read "$console/port")
xenbus write "$console/ring-ref" "$ring" "$console/port" 4000000
wait_journal $unit "console $domid/0: .*port 4000000"
xenbus write "$console/port" "$port"
console_type "echo fourth-\$((1 + 3))"
console_expect '^fourth-4'
console_detach
same "state of the daemon" active "$(systemctl is-active $unit)"
