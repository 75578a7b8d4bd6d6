# Guests come and go, also several at once and again under the same name: each has its output logged,
# and in the end the daemon holds nothing of any of them.
# timeout: 400
. ./lib.sh

unit=duet-console.service
pid=$(systemctl show -p MainPID --value $unit)
worker=$(pgrep -P "$pid")
cleanup() {
    rm -f "$CONSOLE_LOGS"/con-churn*
}
cleanup

say "four guests at once, each prints and ends"
linux_guest con-churn1 "memory = 128" "extra = 'console=hvc0 run=\"echo I am number 1\"'"
for i in 2 3 4; do
    guest con-churn$i "extra = 'run=\"echo I am number $i; halt\"'"
done
for i in 1 2 3 4; do
    wait_line con-churn$i "^I am number $i" 200 > /dev/null
    wait_end con-churn$i 120
done

say "a guest of the same name continues the log"
linux_guest con-churn1 "memory = 128" "extra = 'console=hvc0 run=\"echo I came back\"'"
wait_line con-churn1 "^I came back" 150 > /dev/null
wait_end con-churn1 120
same "boots in the log" 2 "$(grep -c 'linux: ready' "$CONSOLE_LOGS/con-churn1.log")"

say "a guest that is paused has a terminal, and may be destroyed so"
guest con-churn2
timeout 60 xl pause con-churn2
domid=$(xl domid con-churn2)
timeout 30 xenbus wait --exists "/local/domain/$domid/console/tty"
timeout 60 xl destroy con-churn2

say "the daemon is the same process, and holds nothing"
wait_journal $unit "console $domid/0: let go"
same "process" "$pid" "$(systemctl show -p MainPID --value $unit)"
same "worker" "$worker" "$(pgrep -P "$pid")"
for process in "$pid" "$worker"; do
    same "terminals held" 0 "$(find "/proc/$process/fd" -lname '*ptmx' | wc -l)"
    same "pages mapped" 0 "$(grep -c '/dev/xen/gntdev' "/proc/$process/maps" || true)"
    same "logs held open" 0 "$(find "/proc/$process/fd" -lname '*con-churn*' | wc -l)"
done
same "consoles in the store" "[]" "$(xenbus devices --class console --json)"
settles "domains" Domain-0 sh -c "xl list | awk 'NR > 1 { print \$1 }'"
