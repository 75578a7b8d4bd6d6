# An administrator's signals to a whole unit, supervisor and workers alike (systemctl kill): no process dies of them
# while guests use disk and network, and USR1 makes duet-netd print its statistics.
# timeout: 300
. ./lib.sh

UNITS+=(duet-net.service)
image=$(image disk.img 8M)
linux_guest daemon-signals "disk = [ $(disk "$image") ]" "vif = [ 'bridge=xenbr0' ]" \
    "extra = 'console=hvc0 ip=192.168.77.63::192.168.77.1:255.255.255.0 run=\"$WRITE_ROUNDS\"'"
wait_line daemon-signals '^round 2 done' 200 > /dev/null

wait_store "/local/domain/0/backend/vif/$(xl domid daemon-signals)/0/state" '^4$' 120

# processes UNIT: the process ids of the unit, in a row.
processes() {
    sort -n "/sys/fs/cgroup/system.slice/$1.service/cgroup.procs" | xargs
}

before=$(for unit in duet-net duet-block duet-console; do processes $unit; done)
[ "$(processes duet-block | wc -w)" -ge 2 ] || fail "there is no worker of a disk"
[ "$(processes duet-net | wc -w)" -ge 2 ] || fail "there is no worker of a network device"
for signal in USR1 HUP USR2; do
    for unit in duet-net duet-block duet-console; do
        systemctl kill --signal=$signal $unit.service
    done
done
wait_journal duet-net 'from the guest: [0-9]+ packets'
new_log daemon-signals
wait_line daemon-signals '^round [0-9]+ done' 120 > /dev/null
wait_line daemon-signals '^round [0-9]+ and' 120 > /dev/null
same "the processes of the units" "$before" "$(for unit in duet-net duet-block duet-console; do processes $unit; done)"
if guest_log daemon-signals | grep FAILED > /dev/null; then
    fail "the guest's disk failed"
fi
