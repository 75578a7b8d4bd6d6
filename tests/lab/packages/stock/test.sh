# From a stock Debian dom0 to Duet and back, by packages. Installed, they change nothing: Linux' own back ends and
# xenconsoled serve a guest, and enabling Duet takes nothing from it. Enabled, Duet serves, a stock Linux guest as well, also
# through an upgrade. The removal is refused as long as it does. After the purge nothing is left, and the peers serve again.
. ./lib.sh

PACKAGES=(duet-backends duet-guest duet-tools duet-driver-domain duet-doc)
UNITS+=(duet-net.service xen.service)
GUEST_KERNEL=$WORK/kernel # the package's, which outlives it
PEERS_LOGS=/var/log/xen/console
export DEBIAN_FRONTEND=noninteractive

# files: what a package could have left.
files() {
    find /etc /usr /var /run -xdev \( -path /var/log/journal -o -path /var/log/xen -o -path /var/tmp -o -path /var/cache -o -path /var/lib/dpkg \
        -o -path /var/lib/apt -o -path /run/duet-test -o -path "/run/systemd/*" -o -path "/run/log" -o -path "/run/user" \) -prune \
        -o \( ! -type d -o -path "*duet*" \) -print | grep -v -e '^/etc/.*-$' -e '^/run/.*\.pid$' -e '^/run/xen/' -e '^/run/udev/' | sort
}

# debians_script: the lab's dom0 does without Debian's own script, which at boot starts the peers' daemons.
debians_script() {
    systemctl show -P MainPID xenstored.service > /run/xenstore.pid # so the script leaves it alone
    printf '%s\n' "XENCONSOLED_ARGS='--log=guest --log-dir=$PEERS_LOGS'" > /etc/default/xen
    rm -f /etc/systemd/system/xen.service
    printf '%s\n' '[Service]' Type=oneshot RemainAfterExit=yes Environment=SYSTEMCTL_SKIP_REDIRECT=1 \
        'ExecStart=/etc/init.d/xen start' > /etc/systemd/system/xen.service
    mkdir -p $PEERS_LOGS
    systemctl daemon-reload
    systemctl start xen.service
    pgrep -x xenconsoled > /dev/null || fail "Debian's script has not started xenconsoled"
}

# by DOMID: who serves the guest's disk and interface.
by() {
    local device names=()
    for device in "vbd-$1-51712" "vif-$1-0"; do
        if [ -e "/sys/bus/xen-backend/drivers/${device%%-*}/$device" ]; then
            names+=(linux)
        elif [ "$(xenstore-read "/local/domain/0/backend/${device%%-*}/$1/${device##*-}/state")" = 4 ]; then
            names+=(duet)
        else
            names+=(nobody)
        fi
    done
    echo "${names[*]}"
}

# ours NAME LOG BY: our kernel writes to its disk, reads it back, and says so.
ours() {
    printf '%s\n' "name = '$1'" "kernel = '$GUEST_KERNEL'" 'memory = 32' "disk = [ $(disk "$(image "$1.img" 4M)") ]" \
        "vif = [ 'bridge=xenbr0' ]" "extra = 'run=\"dd if=zero of=xvda bs=4096 count=64; dd if=xvda verify=zero bs=4096 count=64\"'" > "$1.cfg"
    GUESTS+=("$1")
    rm -f "$2"
    timeout 150 xl create -q "$1.cfg"
    await "$2" 0 '\r' '262144 bytes verified' 60 > /dev/null || fail "$1 has not verified its disk"
    settles "who serves the disk and the interface of $1" "$3 $3" by "$(xl domid "$1")"
}

[ ! -e /usr/sbin/duet-blockd ] || fail "this dom0 has Duet already"
rm -f /usr/sbin/policy-rc.d # what made the lab's dom0 forbids packages to start anything; a host has no such file
debians_script
files > before

apt-get -q -y install --no-install-recommends /var/tmp/packages/*.deb > apt.log 2>&1 \
    || fail "the packages cannot be installed: $(tail -n 5 apt.log)"
cp /usr/lib/duet/duet-guest.gz "$GUEST_KERNEL"
same "what runs after the installation" "" "$(pgrep -a duet- || true)"
ours stock $PEERS_LOGS/guest-stock.log linux
! duet-backends enable 2> refused || fail "enabling Duet took the devices of a guest"
grep -q "serve vbd-$(xl domid stock)-51712 vif-$(xl domid stock)-0 " refused || fail "enable said: $(cat refused)"
same "what is enabled after the refusal" "" "$(systemctl list-unit-files --state=enabled 'duet-*' --no-legend || true)"
xl destroy stock
wait_end stock

duet-backends enable
! pgrep -x xenconsoled || fail "xenconsoled runs beside Duet"
systemctl restart xen.service # as at the next boot
! pgrep -x xenconsoled || fail "Debian's script has left xenconsoled running beside Duet"
for module in xen-blkback xen-netback; do
    same "what loads $module by itself" "" "$(modprobe -n -v -b "$module")"
done
ours served $CONSOLE_LOGS/served.log duet
linux_guest linux "disk = [ $(disk "$(image linux.img 4M)") ]" "extra = 'console=hvc0 run=\"\
yes packages | dd of=/dev/xvda bs=64k count=16 iflag=fullblock conv=fsync && echo written; cat\"'"
wait_line linux '^written' 200 > /dev/null
same "the disk" "$({ yes packages || true; } | head -c 1M | sha256sum)" "$(head -c 1M "$WORK/linux.img" | sha256sum)"
same "status" '{"vbd": 2, "vif": 1} {"vbd": 0, "vif": 0}' \
    "$(duet-backends status --json | sed -E 's/.*"duet": (\{[^}]*\}), "kernel": (\{[^}]*\}).*/\1 \2/')"
xenbus doctor > found || fail "the doctor found: $(cat found)"

# An upgrade, here to the same version, starts the daemons anew, and the guest goes on.
before=$(main_pid duet-block.service)
dpkg -i /var/tmp/packages/duet-backends_*.deb > dpkg.log 2>&1 || fail "the upgrade: $(tail -n 5 dpkg.log)"
[ "$(main_pid duet-block.service)" != "$before" ] || fail "the upgrade has not started duet-block anew"
new_log served
type_to served "dd if=xvda verify=zero bs=4096 count=32"
wait_line served '131072 bytes verified' > /dev/null

# The removal looks at the guests, and not at whether a daemon runs.
systemctl stop duet-block.service
! apt-get -q -y purge "${PACKAGES[@]}" > apt.log 2>&1 || fail "the packages of daemons that serve a guest were removed"
grep -q "Duet serves vbd-$(xl domid served)-51712 vbd-$(xl domid linux)-51712 vif-$(xl domid served)-0 " apt.log || fail "the removal said: $(tail -n 5 apt.log)"
systemctl start duet-block.service
same "who serves after the refused removal" "duet duet" "$(by "$(xl domid served)")"
for name in served linux; do
    xl destroy $name
    wait_end $name
done

# By dpkg, which does not mind that the refused removal has taken one of them already.
dpkg --purge "${PACKAGES[@]}" > dpkg.log 2>&1 || fail "the packages cannot be removed: $(tail -n 15 dpkg.log)"
files > after
diff before after > left || fail "left or missing after the purge: $(cat left)"
! getent passwd duet-console || fail "the user is left"
ours back $PEERS_LOGS/guest-back.log linux
