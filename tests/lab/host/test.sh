# The lab is what the other tests take it for: a real Xen with a Linux dom0, the store running, and no
# part of the stock consoles and disk backends that Duet replaces.
. ./lib.sh

say "Xen's own name for dom0, and its version"
xl list | grep '^Domain-0 ' > /dev/null || fail "xl list does not show Domain-0"
same "Xen's version" 4.17 "$(cat /sys/hypervisor/version/major).$(cat /sys/hypervisor/version/minor)"
grep -q control_d /proc/xen/capabilities || fail "dom0 is not the control domain"

say "the store runs as a unit of its own"
same "state of xenstored.service" active "$(systemctl is-active xenstored.service)"
same "dom0's name in the store" Domain-0 "$(xenstore-read /local/domain/0/name)"

say "no stock console daemon, no QEMU, no kernel backend"
for program in xenconsoled qemu; do
    ! pgrep -a "$program" || fail "$program runs in dom0"
done
for module in xen_blkback xen_netback; do
    ! grep "^$module " /proc/modules || fail "$module is loaded"
done

say "the peers' modules are there to be loaded"
for module in xen-blkback xen-netback xen-blkfront xen-netfront; do
    modinfo -n "$module" > /dev/null || fail "there is no module $module"
done

say "the clock is right, nothing has failed"
[ "$(date +%Y)" -ge 2024 ] || fail "dom0's clock says $(date)"
same "failed units" "" "$(systemctl --failed --plain --no-legend)"

say "an exit status passes through a pipe of programs"
status=0
sh -c 'exit 37' || status=$?
same "exit status" 37 "$status"
