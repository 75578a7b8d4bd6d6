# A driver domain is destroyed again and again while our guest writes to the disk that it serves, and each time another of
# its name is started: duet-driverd gives it the guest's disk and interface, and the guest's front ends send anew what was
# under way. Nothing is lost: every block that was written is found, on the disk and by the guest. The interface answers
# again, and xl still knows both devices. At last the guest is destroyed, and nothing of it is left anywhere.
# timeout: 600
. ./lib.sh

NET=192.168.77
ROUNDS=${1:-2}
IMAGE=/var/lib/duet/driver # as the configuration has it
cleanup() {
    rm -rf "$IMAGE"
}

# A stock script has forty seconds of libxl's, which nothing scales, and here it is run while the disk is busy. This one is
# Xen's vif-bridge without what needs a process.
mkdir -p added/etc/duet/start.d added/etc/xen/scripts
cat > added/etc/xen/scripts/vif-quick << 'EOF'
#!/bin/sh
if [ "$1" = online ]; then
    ip link set "$vif" up master xenbr0
    xenstore-write "$XENBUS_PATH/hotplug-status" connected
fi
EOF
chmod 755 added/etc/xen/scripts/vif-quick
printf '#!/bin/sh\nip addr add %s.91/24 dev xenbr0\n' $NET > added/etc/duet/start.d/test
chmod 755 added/etc/duet/start.d/test
duet-driver-domain build --compress=none --add=added "$IMAGE" > built || fail "duet-driver-domain: exit status $?"
systemctl is-active -q duet-driver.service || fail "duet-driver.service does not run"

disk=$(image served.img 32M)
mapfile -t config < <(sed '/^name/d' /usr/share/duet/xl/driver.cfg)

# driver_up: a new driver domain; its id is in `driver` then.
driver_up() {
    create dies-dd "${config[@]}" "disk = [ $(disk "$disk") ]"
    driver=$(xl domid dies-dd)
}

# served CLASS DEVICE: the driver domain serves the guest's device, and the script has been run.
served() {
    wait_store "/local/domain/$driver/backend/$1/$guest/$2/state" '^4$' 120
    wait_store "/local/domain/$driver/backend/$1/$guest/$2/hotplug-status" '^connected$' 120
}

# since LINE LINE: the seconds between two of the guest's messages.
since() {
    printf '%s\n' "$@" | sed 's/.*\[ *\([0-9.]*\)\].*/\1/' | awk '{ t[NR] = $1 } END { printf "%.1f", t[2] - t[1] }'
}

driver_up
wait_line dies-dd '^driver-domain: started' 120 > /dev/null
guest dies-duet "disk = [ 'format=raw,vdev=xvda,access=rw,backend=dies-dd,target=/dev/xvda' ]" \
    "vif = [ 'bridge=xenbr0,backend=dies-dd,script=vif-quick' ]" "extra = 'ip=$NET.92/24'"
guest=$(xl domid dies-duet)
served vif 0
served vbd 51712
wait_prompt dies-duet
type_to dies-duet "journal start xvda"
journal_grows dies-duet
reach $NET.92

for round in $(seq "$ROUNDS"); do
    old=$driver
    new_log dies-duet
    timeout 60 xl destroy dies-dd
    away=$(wait_line dies-duet "xvda: back end of domain $old went away")
    driver_up
    [ "$driver" != "$old" ] || fail "the new driver domain has the old one's id, $old"
    back=$(wait_line dies-duet "xvda: .*, served by domain $driver\$" 180)
    served vif 0
    reach $NET.92
    say "round $round, domain $driver after $old: the guest was $(since "$away" "$back") s without its disk"
    journal_grows dies-duet
done

same "who serves the disk, to xl" "$driver" "$(xl block-list dies-duet | awk '$1 == 51712 { print $2 }')"
same "who serves the interface, to xl" "$driver" "$(xl network-list dies-duet | awk '$1 == 0 { print $2 }')"
xenbus devices | tee devices
grep -E -q " vbd +$guest +dies-duet +51712 +$driver/vbd +4 Connected +4 Connected" devices || fail "xenbus devices does not show the disk as connected"
! grep -E "broke the protocol|out of use" <(guest_log dies-duet) || fail "the guest complains"
journal_ends dies-duet "$disk"

timeout 60 xl destroy dies-duet
settles "records of a guest that is gone" "" eval "xenstore-list /libxl/$guest 2> /dev/null || true"
settles "names that are kept" "" eval "xenstore-list /tool/duet-driverd 2> /dev/null || true"
settles "back ends that are left" "" eval "xenstore-list /local/domain/$driver/backend 2> /dev/null || true"
