# A guest that toggles the states of its devices (6, 1, 6, ...) cannot fill the journal: its lines are few, another
# guest's are all there, and the journal's rate limit does not strike. Both daemons go on, and the guest has hurt only
# itself.
# timeout: 400
. ./lib.sh

UNITS+=(duet-net.service)
guest toggler "vif = [ 'bridge=xenbr0' ]" "disk = [ $(disk "$(image a.img 1M)") ]"
guest beside "disk = [ $(disk "$(image b.img 1M)") ]"
wait_prompt toggler
wait_prompt beside
id=$(xl domid toggler)
other=$(xl domid beside)
image=$(image c.img 1M)

# toggle DEVICE: 120 writes of its front end's state, as the guest could make them.
toggle() {
    local pairs=() n
    for n in $(seq 20); do
        pairs+=("/local/domain/$id/device/$1/state" 6 "/local/domain/$id/device/$1/state" 1)
    done
    for n in $(seq 3); do
        xenstore-write "${pairs[@]}"
    done
}

toggle vif/0 &
toggling=$!
for n in 1 2 3; do
    disk_attach beside "format=raw,vdev=xvdb,access=rw,target=$image"
    wait_journal duet-block.service "vbd $other/51728: image"
    toggle vbd/51712
    disk_detach beside xvdb
done
wait $toggling
# rests DEVICE CLASS: whether the two ends wait for each other no more. The toggler's own driver writes states, too.
rests() {
    case "$(xenstore-read "/local/domain/0/backend/$2/$id/${1#*/}/state" "/local/domain/$id/device/$1/state" | xargs)" in
    "2 "* | "4 4" | "6 6") echo yes ;;
    *) echo no ;;
    esac
}
settles "the vif" yes rests vif/0 vif
settles "the disk" yes rests vbd/51712 vbd

lines() {
    journalctl -q -o cat --since "@$BEGAN" --unit duet-block --unit duet-net | grep -c -E "$1" || true
}
journalctl --sync
for device in "vif $id/0" "vbd $id/51712"; do
    most=$((30 * ((EPOCHSECONDS - ${BEGAN%.*}) / 60 + 2) + 2)) # 30 a minute
    [ "$(lines "$device: ")" -le $most ] || fail "$(lines "$device: ") lines about $device"
done
# three REGEX: so often at least, as xl may have had to be asked again.
three() {
    [ "$(lines "$1")" -ge 3 ] && echo yes
}
settles "lines of the other's disk" yes three "vbd $other/51728: image"
settles "lines of its removal" yes three "vbd $other/51728: removed"
! journalctl -q --since "@$BEGAN" | grep 'Suppressed [0-9]* messages from duet-' || fail "the journal left lines out"
