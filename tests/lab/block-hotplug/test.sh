# Disks come and go while a Linux guest runs: block-attach, use, block-detach, and the same image again under
# another name. After each detach the image is free, and the guest's first disk works throughout.
# timeout: 600
. ./lib.sh

first=$(image first.img 8M)
second=$(image second.img 8M)

linux_guest block-hotplug "disk = [ $(disk "$first") ]" \
    "extra = 'console=hvc0 run=\"set -e; \
for disk in xvdb xvdf; do \
echo want \$disk; \
until [ -b /dev/\$disk ]; do sleep 0.1; done; \
echo data of \$disk | dd of=/dev/\$disk conv=sync; \
sync; \
echo done \$disk; \
while [ -b /dev/\$disk ]; do sleep 0.1; done; \
dd if=/dev/zero of=/dev/xvda bs=64k count=1; \
done\"'"
domid=$(xl domid block-hotplug)

attach_and_detach() {
    local vdev=$1 number=$2
    local back=/local/domain/0/backend/vbd/$domid/$number
    wait_line block-hotplug "^want $vdev" 200 > /dev/null
    timeout 30 xl block-attach block-hotplug "format=raw,vdev=$vdev,access=rw,target=$second"
    wait_line block-hotplug "^done $vdev" 200 > /dev/null
    same "state of $vdev while in use" 4 "$(xenstore-read "$back/state")"
    disk_detach block-hotplug "$vdev"
    xenstore-exists "$back" && fail "block-detach left $back"
    settles "users of $second after $vdev was detached" "" users_of "$second"
    same "what the guest wrote to $vdev" "data of $vdev" "$(head -n 1 "$second" | tr -d '\0')"
}

attach_and_detach xvdb 51728
attach_and_detach xvdf 51792
same "status of the guest's commands" "status: 0" "$(wait_line block-hotplug '^status: ' 200)"
wait_end block-hotplug 200
