# The stock scripts vif-route and vif-nat on duet-netd: without a bridge dom0 reaches our guest by the addresses of its
# configuration, the guest reaches dom0, and nothing of it is left after the guest's end. (vif-bridge is in net-linux,
# vif-openvswitch in net-features.)
# timeout: 200
. ./lib.sh

UNITS+=(duet-net.service)
ROUTED=10.44.1.2 NATTED=172.20.2.2 ROUTER=172.20.2.129 # vif-nat puts dom0 127 above the guest

# vif-route wants the ifconfig of net-tools, which is not in every dom0; busybox has one.
mkdir -p "$WORK/bin"
ln -s "$(command -v busybox)" "$WORK/bin/ifconfig"
PATH=$PATH:$WORK/bin

# left: what the host has for the guest's addresses.
left() {
    ip route | grep -E "^($ROUTED|$NATTED) " || true
}

guest net-scripts "vif = [ 'script=vif-route,ip=$ROUTED', 'script=vif-nat,ip=$NATTED' ]" \
    "extra = 'ip=$ROUTED/8 ip.eth1=$NATTED/24,gw=$ROUTER'"
domid=$(xl domid net-scripts)
wait_prompt net-scripts
for address in $ROUTED $NATTED; do
    reach $address
done
same "routes to the guest" 2 "$(left | wc -l)"
same "address of vif-nat's end" "$ROUTER" "$(ip -o addr show dev "vif$domid.1" | grep -o "$ROUTER")"
guest_pings net-scripts $ROUTER

timeout 60 xl destroy net-scripts
wait_end net-scripts
wait_journal duet-net.service "vif $domid/1: removed"
same "routes after the guest's end" "" "$(left)"
no_interface "vif$domid.*"
