# A guest that leaves its vif at state 7 (Reconfiguring) is answered once: its back end does not write, hear itself,
# and write again. Meanwhile the neighbour is served.
# timeout: 200
. ./lib.sh

UNITS+=(duet-net.service)
NEIGHBOUR=192.168.77.61

cleanup() {
    kill "${WATCHER:-0}" 2> /dev/null
}

guest net-seven "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=192.168.77.60/24'"
guest net-beside "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=$NEIGHBOUR/24'"
domid=$(xl domid net-seven)
front=/local/domain/$domid/device/vif/0
back=/local/domain/0/backend/vif/$domid/0
wait_store "$back/state" '^4$'
reach 192.168.77.60
reach $NEIGHBOUR

xenstore-watch "$back/state" > events &
WATCHER=$!
await events 0 '\n' state 30 > /dev/null # that of the registration
for _ in 1 2 3; do
    xenstore-write "$front/state" 7
    wait_store "$back/state" '^8$'
    pinged $NEIGHBOUR 10 -i 0.2 || fail "the neighbour is not served"
    xenstore-write "$front/state" 4
    wait_store "$back/state" '^4$'
done
reach 192.168.77.60
written=$(($(wc -l < events) - 1))
[ "$written" -le 8 ] || fail "the back end's state was written $written times for six changes of the front end's"
