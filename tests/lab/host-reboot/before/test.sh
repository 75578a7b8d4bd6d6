# A host as an administrator leaves it: Duet is enabled, xendomains saves guests at power-off and restores them, one guest is
# to start at boot, and ten run, of which three write to their disks all the time.
# timeout: 400
. ./lib.sh

DISKS=/var/lib/duet/reboot
mkdir -p $DISKS /etc/xen/auto /var/lib/xen/save
# The lab forgets its journal; this one is read after the boot.
printf "[Journal]\nStorage=persistent\n" > /etc/systemd/journald.conf.d/reboot.conf
systemctl restart systemd-journald.service
journalctl --flush

# What the lab's image leaves out of Debian: what makes units of init scripts, and xendomains.
rm -f /etc/systemd/system-generators/systemd-sysv-generator
systemctl unmask -q xendomains.service
duet-backends enable
systemctl daemon-reload
systemctl enable -q xendomains.service
systemctl start xendomains.service

truncate -s 16M $DISKS/auto.img
printf '%s\n' "name = 'auto'" "kernel = '$GUEST_KERNEL'" "memory = 32" "disk = [ $(disk $DISKS/auto.img) ]" \
    "extra = 'run=\"journal start xvda\"'" > /etc/xen/auto/auto.cfg
for i in 0 1 2 3 4 5 6 7 8 9; do
    truncate -s 16M $DISKS/$i.img
    guest "power-$i" "memory = 24" "disk = [ $(disk $DISKS/$i.img) ]"
done
for i in 0 1 2; do
    wait_line "power-$i" 'xvda: 16 MiB' 120 > /dev/null
    type_to "power-$i" "journal start xvda"
    journal_grows "power-$i"
done
GUESTS=() # they stay
