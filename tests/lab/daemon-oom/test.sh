# A unit runs out of its memory: the kernel's OOM killer takes one worker, in the unit's own cgroup, and the service goes
# on. The supervisor and the workers of other guests stay what they were, the one that was killed is replaced, and
# its guest goes on.
# timeout: 240
. ./lib.sh

UNITS+=(duet-net.service)
declare -a DISKS=()
for name in oom-a oom-b; do
    DISKS+=("$(image $name.img 4M)")
    guest $name "memory = 16" "disk = [ $(disk "${DISKS[-1]}") ]" "vif = [ 'bridge=xenbr0' ]" "extra = 'run=\"journal start xvda\"'"
done
cleanup() {
    systemctl revert duet-block.service duet-net.service 2> /dev/null
    [ -z "${HUNGRY:-}" ] || kill -9 "$HUNGRY" 2> /dev/null
}
for name in oom-a oom-b; do
    wait_prompt $name
    journal_grows $name
    wait_store "/local/domain/0/backend/vif/$(xl domid $name)/0/state" '^4$'
done

# worker PROGRAM NAME: the process that serves the guest, by its uid.
worker() {
    pgrep -x -U $((0x70000000 + $(xl domid "$2"))) "${1:0:15}" || true
}

# another_than PROGRAM NAME PID: says so when the guest has a worker, and it is not PID.
another_than() {
    local found
    found=$(worker "$1" "$2")
    if [ -n "$found" ] && [ "$found" != "$3" ]; then echo "another"; fi
}

# kills: how often the OOM killer has killed in the unit's cgroup.
kills() {
    sed -n 's/^oom_kill //p' "$1/memory.events"
}

# starve UNIT PROGRAM: has the unit's memory run out. The killer counts the adjustment as thousandths of the unit's
# limit, so the worker of oom-a comes first; what eats comes second, since nobody else may be taken. (A killer that is
# called while what it has killed still ends takes one more, on a slow machine: that is the kernel's, not ours to test.)
starve() {
    local unit=$1 program=$2 group=/sys/fs/cgroup/system.slice/$1.service victim other main before spared
    victim=$(worker "$program" oom-a)
    other=$(worker "$program" oom-b)
    main=$(main_pid "$unit")
    before=$(kills "$group")
    same "$unit: the place of its supervisor before the OOM killer" -500 "$(< "/proc/$main/oom_score_adj")"
    same "$unit: that of a worker" 0 "$(< "/proc/$other/oom_score_adj")"
    echo 1000 > "/proc/$victim/oom_score_adj"
    for spared in $main $other; do echo -1000 > "/proc/$spared/oom_score_adj"; done
    systemctl set-property --runtime "$unit.service" MemorySwapMax=0 MemoryMax=$(($(< "$group/memory.current") + (32 << 20)))
    python3 -c 'open("hunger").read()
eaten = []
while True:
    eaten.append(bytearray(b"x") * (1 << 20))' &
    HUNGRY=$!
    echo -200 > "/proc/$HUNGRY/oom_score_adj" # or it might come first, by what it brought from its own unit
    echo $HUNGRY > "$group/cgroup.procs"
    : > hunger # now it eats
    wait $HUNGRY 2> /dev/null || true
    HUNGRY=
    echo -500 > "/proc/$main/oom_score_adj"
    echo 0 > "/proc/$other/oom_score_adj"
    systemctl set-property --runtime "$unit.service" MemoryMax=infinity
    [ "$(kills "$group")" -ge $((before + 2)) ] || fail "$unit: the OOM killer took $(($(kills "$group") - before)), not the worker and the eater"
    settles "$unit: the worker of the guest whose was killed" another another_than "$program" oom-a "$victim"
    same "$unit: the other guest's worker" "$other" "$(worker "$program" oom-b)"
    same "$unit: its supervisor" "$main" "$(main_pid "$unit")"
    same "$unit: its state" active "$(systemctl is-active "$unit")"
    wait_journal "$unit.service" "$(xl domid oom-a)/[0-9]*: worker killed by signal 9"
}

mkfifo hunger
starve duet-block duet-block-worker
starve duet-net duet-net-worker
for name in oom-a oom-b; do
    wait_store "/local/domain/0/backend/vbd/$(xl domid $name)/51712/state" '^4$'
    wait_store "/local/domain/0/backend/vif/$(xl domid $name)/0/state" '^4$'
    journal_grows $name
done
journal_ends oom-a "${DISKS[0]}"
