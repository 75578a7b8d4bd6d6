# A guest that takes no packets hurts nobody: while one of two guests is paused and flooded, the other
# answers as before; the paused one's link goes down after the time set, and comes back with it.
# timeout: 300
. ./lib.sh

UNITS+=(duet-net.service)
CONF=/etc/duet/duet.conf

cleanup() {
    [ ! -e duet.conf ] || mv -f duet.conf $CONF
    systemctl reload duet-net.service
}

# answers ADDRESS: ten pings in a row.
answers() {
    pinged "$1" 10 -i 0.1 > /dev/null
}

guest net-deaf "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=192.168.77.61/24'"
guest net-neighbour "vif = [ 'bridge=xenbr0' ]" "extra = 'ip=192.168.77.62/24'"
deaf=$(xl domid net-deaf)
reach 192.168.77.61
reach 192.168.77.62

# For this guest, which is connected already, the stall is reported after 12 seconds instead of a minute.
cp -p $CONF duet.conf
printf '[net net-deaf]\nstall = 12\n' >> $CONF
systemctl reload duet-net.service
wait_journal duet-net.service 'Hangup: reads'

xl pause net-deaf
ping -q -f -c 800 -W 1 192.168.77.61 > /dev/null || true
answers 192.168.77.62 || fail "the neighbour of a guest that takes no packets lost some"
wait_store "/local/domain/0/backend/vif/$deaf/0/carrier" '^0$' 60
same "the tap's carrier" 0 "$(cat "/sys/class/net/vif$deaf.0/carrier")"
answers 192.168.77.62 || fail "the neighbour lost packets when the link went down"

xl unpause net-deaf
wait_store "/local/domain/0/backend/vif/$deaf/0/carrier" '^1$' 60
reach 192.168.77.61
