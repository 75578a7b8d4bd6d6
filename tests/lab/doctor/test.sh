# `xenbus doctor` says nothing of a healthy host with busy guests, and finds each of thirty prepared faults: in
# the store, in permissions, of daemons, of the host. What it advises, followed to the letter, mends them, and the host is
# healthy again.
# timeout: 900
. ./lib.sh

UNITS+=(duet-net.service)
BRIDGE=duet-none SCRIPT=/etc/xen/scripts/vif-bridge

# nodes [DOMID]: how many the domain owns in the store, or any may own.
nodes() {
    xenstore-control quota "$@" | awk '$1 == "nodes" { print $2 == ":" ? $3 : $2 }' | tr -d :
}

NODES=$(nodes)

cleanup() {
    xenstore-control quota set nodes "$NODES"
    xenstore-rm /local/domain/0/backend/vif/4000
    pkill -x xenconsoled
    chmod +x $SCRIPT
    ip link set xenbr0 up
    ip link del $BRIDGE
    [ -z "${loop:-}" ] || losetup -d "$loop"
    modprobe -r xen-blkback
    modprobe tun
    systemctl start duet-block.service duet-net.service
} 2> /dev/null

# doctor: what it finds, as JSON in `found`. Its exit status says whether that is anything.
doctor() {
    local status=0
    timeout 120 xenbus doctor --json --settle 2 > found || status=$?
    [ $status -le 1 ] || fail "xenbus doctor: exit status $status"
    return $status
}

# is_healthy WHEN: nothing is found.
is_healthy() {
    doctor || fail "$1: $(cat found)"
    same "what is said of a healthy host" "" "$(timeout 120 xenbus doctor)"
}

# mended "CODE PATH"...: these are found and nothing else; and their advice mends them. An advice may bring to light what the
# fault hid.
mended() {
    doctor && fail "nothing is found of $*"
    same "what is found" "$(printf '%s\n' "$@" | sort)" \
        "$(python3 -c 'import json; [print(f["code"], f["path"]) for f in json.load(open("found"))]' | sort)"
    for _ in 1 2 3; do
        python3 -c 'import json; [print(f["advice"] or "") for f in json.load(open("found"))]' | sort -u > advice
        while read -r line <&3; do
            [ -z "$line" ] || timeout 100 bash -c "$line" > said 2>&1 < /dev/null || fail "advice '$line': $(cat said)"
        done 3< advice
        ! doctor || return 0
    done
    fail "the advice has not mended $*: $(cat found advice)"
}

# pair NUMBER FRONT-STATE BACK-STATE: a device without drivers, of the guest that is paused.
pair() {
    local front=$asleep/device/9pfs/$1 back=/local/domain/0/backend/9pfs/$asleep_id/$1
    xenstore-write "$front" ""
    xenstore-chmod "$front" "n$asleep_id" r0
    xenstore-write "$back" ""
    xenstore-chmod "$back" n0 "r$asleep_id"
    xenstore-write "$front/backend" "$back" "$front/backend-id" 0 "$front/state" "$2" \
        "$back/frontend" "$front" "$back/frontend-id" "$asleep_id" "$back/state" "$3"
}

cleanup || true # of a run that was killed
names=()
for n in $(seq 10); do
    names+=("doctor-$n")
    guest "doctor-$n" "memory = 16" "disk = [ $(disk "$(image "$n.img" 4M)") ]" "vif = [ 'bridge=xenbr0' ]"
done
for name in "${names[@]}"; do
    wait_prompt "$name" 120
    wait_line "$name" 'xvda: 4 MiB' > /dev/null
    wait_store "/local/domain/0/backend/vif/$(xl domid "$name")/0/state" '^4$' 120
    xl sched-credit2 -d "$name" -c 5 # what never pauses would take the processor from what looks at it
    type_to "$name" "journal start xvda"
done
for name in "${names[@]}"; do
    journal_grows "$name"
done
id=$(xl domid doctor-1)
home=/local/domain/$id
second=/local/domain/0/backend/vif/$(xl domid doctor-2)/0
vbd=/local/domain/0/backend/vbd/$id vif=/local/domain/0/backend/vif/$id/0
is_healthy "busy guests"

say "the store and the network"
mac=$(xenstore-read "$vif/mac")
xenstore-write "$home/device/vif/0/mac" 00:16:3e:00:00:01
xenstore-write "$home/error/device/vbd/51712/error" "22 made by a test"
xenstore-write "/local/domain/0/backend/vif/4000/0/frontend" /local/domain/4000/device/vif/0 \
    "/local/domain/0/backend/vif/4000/0/frontend-id" 4000 "/local/domain/0/backend/vif/4000/0/state" 6
xenbus chmod "$vbd/51712/params" n0 "b$id"
xenbus chmod "$vif/mac" n0 "w$id"
xenbus chmod "$second/state" n0
xenbus chmod "$home/device/vbd/51712/state" n0 "r$id"
xenbus chmod "$home/console/tty" n0 "b$id"
ip link set xenbr0 down
ip link set "vif$id.0" nomaster
chmod -x $SCRIPT
cp "$(command -v sleep)" "$WORK/xenconsoled"
"$WORK/xenconsoled" 100000 &
disown
mended "XB503 $home/device/vif/0/mac" "XB110 $home/error/device/vbd/51712/error" "XB107 /local/domain/0/backend/vif/4000/0" \
    "XB204 $vbd/51712/params" "XB204 $vif/mac" "XB203 $second/state" "XB201 $home/device/vbd/51712/state" \
    "XB205 $home/console/tty" "XB405 xenbr0" "XB410 $vif" "XB403 $SCRIPT" "XB407 duet-console.service"
same "the guest's MAC address" "$mac" "$(xenstore-read "$home/device/vif/0/mac")"

say "devices that have to go"
for vdev in xvdb xvdc xvdd; do
    disk_attach doctor-1 "$(disk "$(image $vdev.img 4M)" $vdev | tr -d "'")"
done
for number in 51728 51744 51760; do
    wait_store "$vbd/$number/state" '^4$'
done
xenstore-write "$vbd/51728/hotplug-error" "made by a test"
xenstore-write "$home/device/vbd/51744/ring-page-order" 9
xenstore-rm "$home/device/vbd/51760/event-channel"
mended "XB408 $vbd/51728" "XB501 $home/device/vbd/51744/ring-page-order" "XB502 $home/device/vbd/51760"
for number in 51728 51744 51760; do
    xenstore-exists "$vbd/$number" && fail "$vbd/$number is still there"
done

say "a guest that is paused, and devices without drivers"
printf '%s\n' "name = 'doctor-asleep'" "kernel = '$GUEST_KERNEL'" "memory = 16" "disk = [ $(disk "$(image asleep.img 4M)") ]" > asleep.cfg
GUESTS+=(doctor-asleep)
timeout 60 xl create -q -p asleep.cfg
asleep_id=$(xl domid doctor-asleep)
asleep=/local/domain/$asleep_id
doctor && fail "nothing is found of a guest that is paused"
same "of a guest that is paused" "XB102" "$(python3 -c 'import json; print(*[f["code"] for f in json.load(open("found"))])')"
systemctl stop duet-block.service
xl unpause doctor-asleep
wait_store "$asleep/device/vbd/51712/state" '^3$' 60
xl pause doctor-asleep
pair 0 3 4
pair 1 4 5
pair 2 1 6
pair 3 none 4
pair 4 4 4
xenstore-rm "/local/domain/0/backend/9pfs/$asleep_id/4"
xl unpause doctor-asleep
mended "XB103 /local/domain/0/backend/vbd/$asleep_id/51712" "XB401 duet-block.service" "XB104 $asleep/device/9pfs/0" \
    "XB105 $asleep/device/9pfs/1" "XB106 /local/domain/0/backend/9pfs/$asleep_id/2" "XB109 $asleep/device/9pfs/3" \
    "XB108 $asleep/device/9pfs/4"
same "the disk that was waited for" 4 "$(xenstore-read "$asleep/device/vbd/51712/state")"

say "a bridge that is missing, an interface that was renamed, and too many nodes"
xenstore-write "$vif/bridge" $BRIDGE
xenstore-control quota set nodes "$(nodes "$id")"
mended "XB404 $BRIDGE" "XB409 $home"
ip link set "vif$id.0" down
ip link set "vif$id.0" name duet-renamed
mended "XB406 $vif"
xenstore-write "$vbd/51712/sectors" 0
mended "XB504 $vbd/51712"

say "the kernel's back end"
systemctl stop duet-block.service
modprobe xen-blkback
loop=$(losetup --find --show "$(image loop.img 4M)")
timeout 60 xl block-attach doctor-1 "phy:$loop,xvde,w"
systemctl start duet-block.service
mended "XB302 $vbd/51776" "XB303 /sys/bus/xen-backend/drivers/vbd"

for name in "${names[@]}"; do
    journal_grows "$name"
    xl destroy "$name"
done
xl destroy doctor-asleep
systemctl stop duet-net.service
modprobe -r tun
mended "XB402 /dev/net/tun" "XB401 duet-net.service"
is_healthy "the end"
