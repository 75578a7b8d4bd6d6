# After the boot: the ten guests go on where they were, on Duet's daemons, and lost nothing; the eleventh has started. While
# dom0 powered off, the daemons outlived the guests, and nobody had to be killed.
# timeout: 400
. ./lib.sh

DISKS=/var/lib/duet/reboot
systemctl is-active xendomains.service > /dev/null || {
    journalctl -b -u xendomains.service --no-pager | tail -n 20
    fail "xendomains has not started"
}
for unit in duet-console.service duet-block.service duet-net.service; do
    same "$unit" active "$(systemctl is-active $unit)"
done
for i in 0 1 2 3 4 5 6 7 8 9; do
    GUESTS+=("power-$i")
    new_log "power-$i"
    type_to "power-$i" "echo here-$i"
    wait_line "power-$i" "^here-$i" 120 > /dev/null
done
for i in 0 1 2; do
    journal_grows "power-$i"
    journal_ends "power-$i" $DISKS/$i.img
done
GUESTS+=(auto)
journal_grows auto
journalctl -q -b -1 -o cat > last
grep -q '^Stopped duet-block.service' last || fail "the journal has no power-off: $(tail -n 5 last)"
same "services that did not end by themselves" "" \
    "$(grep -E "(duet-(block|console|net)|xendomains).service: (State .* timed out|Killing|Failed)" last || true)"
