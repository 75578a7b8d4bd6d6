# xenbus doctor on a real host: it says nothing about a healthy one with guests that are connected; it finds each of
# nineteen prepared faults, of the store and of the host, and no other; its advice, run to the letter, mends them all.
# timeout: 300
. ./lib.sh

UNITS+=(duet-net.service)
BRIDGE=duet-doctor
SCRIPT=/etc/xen/scripts/vif-doctor/vif-bridge

cleanup() {
    ip link del $BRIDGE 2> /dev/null
    rm -rf "${SCRIPT%/*}"
    xenstore-control quota set nodes 1000
    modprobe -r -q xen-netback
    pkill -x xenconsoled
    systemctl start duet-block.service duet-net.service duet-console.service
}

# codes: the codes of what the doctor finds, each once.
codes() {
    { xenbus doctor --settle 0.4 --json || [ $? -eq 1 ]; } > found.json
    python3 -c 'import json; print(*sorted({f["code"] for f in json.load(open("found.json"))}))'
}

# heals CODE...: the doctor finds exactly these; its advice mends all of it. What it advises may bring up the next
# finding (a bridge that is there again has no ports yet).
heals() {
    local advice round
    same "findings" "$*" "$(codes)"
    for round in 1 2 3; do
        python3 -c 'import json; print(*(f["advice"] for f in json.load(open("found.json"))), sep="\n")' > advice
        while read -r advice; do
            say "round $round: $advice"
            timeout 60 bash -c "$advice" < /dev/null > advised 2>&1 || fail "'$advice' failed: $(cat advised)"
        done < advice
        [ "$(codes)" != "" ] || return 0
    done
    fail "still there: $(xenbus doctor 2>&1)"
}

say "a healthy host, before any guest"
same "findings" "" "$(codes)"
xenbus doctor --settle 0.4 > said 2>&1
same "words" "" "$(cat said)"

say "others who serve: the kernel's netback, xenconsoled"
modprobe xen-netback
/usr/lib/xen-4.17/bin/xenconsoled --pid-file="$WORK/xenconsoled.pid"
heals XB303 XB407

say "a healthy host with a guest"
ip link add $BRIDGE type bridge
ip link set $BRIDGE up
mkdir -p "${SCRIPT%/*}"
cp /etc/xen/scripts/vif-bridge /etc/xen/scripts/*.sh "${SCRIPT%/*}/"
guest doctored "disk = [ $(disk "$(image a.img 8M)") ]" "vif = [ 'bridge=$BRIDGE,script=$SCRIPT', 'bridge=$BRIDGE' ]"
wait_prompt doctored
domid=$(xl domid doctored)
home=/local/domain/$domid disk=device/vbd/51712 vif=device/vif/0
backends=/local/domain/0/backend
wait_store $home/$disk/state 4
wait_store $home/$vif/state 4
wait_store $backends/vif/"$domid"/1/state 4
same "findings" "" "$(codes)"
xenbus export > healthy.json
xenbus doctor --from healthy.json > said
same "of the export" "" "$(cat said)"

for part in $home/$disk $home/console $home/$vif $backends/vbd/"$domid"/51712; do
    xenbus export "$part" > "part.${part//\//.}.json"
done

say "the store: orphans, stray keys, permissions, errors, quota"
xl block-attach doctored "format=qcow2,vdev=xvdb,access=rw,target=$(image b.qcow2 1M)"
{
    echo "write $backends/vbd3/999/51712/frontend /local/domain/999/device/vbd/51712"
    echo "write $backends/vbd3/999/51712/state 6"
    echo "write $home/device/vkbd/0/backend $backends/vkbd/$domid/0"
    echo "write $home/device/vkbd/0/state 1"
    echo "write $home/$vif/backend $backends/vif/$domid/77"
    echo "write $home/device/vif/1/mac 00:16:3e:66:66:66"
    echo "chmod $home/$disk/state n0 r$domid"
    echo "chmod $backends/vbd/$domid/51712 n0"
    echo "chmod $backends/vbd/$domid/51712/params b0"
    echo "chmod $home/console/limit n$domid"
    echo "write $backends/vif/$domid/1/hotplug-error \"\""
    echo "write /local/domain/0/error/$disk/error none"
    echo "write /local/domain/0/error/backend/vbd/$domid/51712/error \"22 prepared \\x1b[2J\""
    for i in $(seq 940); do
        echo "write $home/data/doctor/$i \"\""
    done
} > faults
xenbus transaction faults
say "the host: a daemon, a script, a bridge"
systemctl stop duet-net.service
chmod -x $SCRIPT
ip link del $BRIDGE
xenbus doctor --settle 0.4 > said || true
same "raw lines" 0 "$(LC_ALL=C grep -c $'[^ -~]' said || true)"
heals XB107 XB108 XB110 XB201 XB203 XB204 XB205 XB301 XB401 XB403 XB404 XB409 XB503
same "the guest's interface is where it belongs" $BRIDGE "$(basename "$(readlink "/sys/class/net/vif$domid.0/master")")"
xenbus exists $backends/vbd3/999/51712 && fail "the orphan is still there"

say "what was mended is as it was, to the byte and the permission"
for part in part.*.json; do
    same "$part" "" "$(xenbus diff "$part" || true)"
done

say "a console that nobody has taken, a bridge that is down"
xenbus rm $home/console/tty
ip link set $BRIDGE down
heals XB111 XB405
wait_store $home/console/tty '^/dev/pts/'
