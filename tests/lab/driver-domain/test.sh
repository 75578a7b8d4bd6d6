# A driver domain made of dom0's own files, started with the configuration that is installed, serves our guest and an
# unmodified Linux: disks that dom0 gave it and a file of its own, and interfaces on its bridge. What the guests wrote is
# found in dom0. A network daemon that is killed in there is started again. A guest that is destroyed is gone at once
# for xl, which waits for the driver domain to say so. The driver domain ends in good order when it is asked to.
# timeout: 400
. ./lib.sh

NET=192.168.77
IMAGE=/var/lib/duet/driver # as the configuration has it
cleanup() {
    rm -rf "$IMAGE"
}

# left_over: the back ends of the driver domain, whose folder xl devd removes with the last of them.
left_over() {
    xenstore-list "/local/domain/$driver/backend" 2> /dev/null || true
}

# What a test has to have in there: a disk image, and a shell to kill from.
mkdir -p added/etc/duet/start.d
cat > added/etc/duet/start.d/test << EOF
#!/bin/sh
truncate -s 16M /root/own.img
ip addr add $NET.91/24 dev xenbr0
nc -ll -p 99 -e sh &
EOF
chmod 755 added/etc/duet/start.d/test

duet-driver-domain build --add=added "$IMAGE" > built || fail "duet-driver-domain: exit status $?"
say "$(xargs < built)"
size=$(($(stat -c %s "$IMAGE/vmlinuz") + $(stat -c %s "$IMAGE/initrd")))
[ $size -lt $((32 << 20)) ] || fail "kernel and initramfs have $size bytes"

# Its name is the test's; all else is as it is installed.
disk=$(image served.img 32M)
mapfile -t config < <(sed '/^name/d' /usr/share/duet/xl/driver.cfg)
create driver-dd "${config[@]}" "disk = [ $(disk "$disk") ]"
wait_line driver-dd '^driver-domain: started' 120 > /dev/null
driver=$(xl domid driver-dd)

# Stock scripts have forty seconds of libxl's, which nothing scales: no load before they have ended.
guest driver-duet "disk = [ 'format=raw,vdev=xvda,access=rw,backend=driver-dd,target=/dev/xvda' ]" \
    "vif = [ 'bridge=xenbr0,backend=driver-dd' ]" "extra = 'ip=$NET.92/24'"
wait_store "/local/domain/$driver/backend/vif/$(xl domid driver-duet)/0/state" '^4$' 120
linux_guest driver-linux "disk = [ 'format=raw,vdev=xvda,access=rw,backend=driver-dd,target=/root/own.img' ]" \
    "vif = [ 'bridge=xenbr0,backend=driver-dd' ]" \
    "extra = 'console=hvc0 run=\"ip addr add $NET.93/24 dev eth0; ip link set eth0 up; until ping -c 1 -W 1 $NET.1; do :; done; $WRITE_ROUNDS\"'"

wait_line driver-linux '^round 2 done' 120 > /dev/null
type_to driver-duet "journal start xvda"
journal_grows driver-duet
reach $NET.92
reach $NET.93
devices=$(xenbus devices)
say "$devices"
same "devices of guests that the driver domain serves" 4 \
    "$(grep -E -c "^ +(vbd|vif) +[0-9]+ driver-(duet|linux) .* $driver/(vbd|vif) +4 Connected +4 Connected" <<< "$devices")"

in_linux $NET.91 'killall -KILL duet-netd' > /dev/null
wait_line driver-dd '^driver-domain: duet-netd has ended' > /dev/null
reach $NET.92
reach $NET.93
journal_grows driver-duet

journal_ends driver-duet "$disk"
for name in driver-duet driver-linux; do
    timeout 60 xl -vvv destroy $name > xl.out 2>&1 || fail "xl destroy $name: $(cat xl.out)"
    # xl says so, and ends well, when it has waited ten seconds for the driver domain in vain. No factor makes them more.
    [ "$FACTOR" -gt 150 ] || ! grep 'unable to remove device' xl.out || fail "xl destroy $name: the driver domain did not let its devices go"
done
settles "back ends that are left" "" left_over

timeout 60 xl shutdown driver-dd
wait_line driver-dd '^driver-domain: the daemons have ended' > /dev/null
wait_end driver-dd
