#!/bin/bash
# The guest's image, started by Xen as its dom0: it comes up on Xen's console, shows the machine's memory,
# ACPI tables and PCI devices, takes what is typed on the serial line, counts physical interrupts (edge-
# and level-triggered), passes the self-tests that need no store, and turns the machine off, at its power
# button and by itself.
# timeout: 300
set -euo pipefail
lab=$(dirname "$(readlink -f "$0")")/../../../lab
work=$(mktemp -d)
limit=$((130 * ${DUET_FACTOR:-100} / 100)) # seconds for one boot, only there for a machine that hangs
typist=
trap '[ -z "$typist" ] || kill "$typist" 2> /dev/null; rm -rf "$work"' EXIT

fail() {
    echo "dom0-boot: FAILED: $*" >&2
    [ ! -e "$work/log" ] || tail -n 120 "$work/log" | tr -d '\r' >&2
    exit 1
}

# boot COMMANDS [OPTION...]: start the machine with run=COMMANDS, type stdin's lines; what came over the
# serial line is in "$work/said" then.
boot() {
    "$lab" dom0 --timeout $limit --log "$work/log" --run "$@" > /dev/null || fail "./lab dom0: exit status $?"
    tr -d '\r' < "$work/log" > "$work/said"
}

# said REGEX: a line of that form must have come over the serial line.
said() {
    grep -qE -- "$1" "$work/said" || fail "no line '$1'"
}

# counts NAME: how often the interrupt had come, at each `irq`.
counts() {
    tr -d '\r' < "$work/log" | awk -v name="$1" '$NF == name && NF == 7 { print $6 }'
}

# grew NAME COUNT: the first `irq` found fewer interrupts than the last, which found COUNT or more, and none found
# fewer than the one before.
grew() {
    counts "$1" | awk -v n="$2" 'NR == 1 { first = $1 } $1 < last { bad = 1 } { last = $1 }
        END { exit bad || last < n || last == first }'
}

# type_irq: an `irq` to be typed, and wait until it has been answered.
type_irq() {
    asked=$((asked + 1))
    echo "irq; echo asked-''$asked"
    grep -q -a -m 1 "^asked-$asked" < <(exec tail -q -c +1 -F --pid=$me "$work/log" 2> /dev/null)
}

# typed: the lines for the keyboard. Interrupts are asked for until they have come.
typed() {
    local asked=0 me=$BASHPID
    echo "irq rtc on"
    type_irq
    until grew rtc 10; do
        type_irq
    done
    printf '%s\n' "irq rtc off" "irq timer on" "xs ls /" "selftest"
    type_irq
    until grew acpi 1; do
        type_irq
    done
}

# The lab presses the power button when what is typed has come to its end.
mkfifo "$work/keyboard"
typed > "$work/keyboard" &
typist=$!
boot 'memmap; acpi; pci' < "$work/keyboard"
wait "$typist" || fail "the machine went off before all was typed"
typist=

[ "$(grep -E '^\[ *[0-9.]+\]' "$work/said" | head -n 1 | grep -cE 'Duet [0-9.]+ as dom0: 128 MiB')" = 1 ] ||
    fail "the first line does not say 'Duet ... as dom0'"
said 'xenbus: dom0 has no store'
said '2 vCPUs online'
if grep -q 'ENODEV$' <(grep '^\[' "$work/said"); then
    fail "something wanted a store: $(grep '^\[.*ENODEV$' "$work/said")"
fi

# The lab gives the machine 640 MiB below the hole for devices; q35 puts its configuration space at b0000000.
said '^0000000000000000-000000000009fbff +639  usable$'
said '^0000000000100000-0000000027[0-9a-f]{6} +[0-9]+  usable$'
said '^00000000b0000000-00000000bfffffff +262144  reserved$'

for table in RSDT FACP DSDT APIC HPET MCFG; do
    said "^$table +[0-9]+ +[0-9]+  [0-9a-f]{16}  good +BOCHS"
done
said '^FACS +[0-9]+ +64  [0-9a-f]{16}  none'

said '^00:00\.0  8086:29c0  host bridge$'
said '^00:1f\.0  8086:2918  ISA bridge$'
said '^00:1f\.2  8086:2922  SATA controller, INTA'
said '^00:1f\.3  8086:2930  SMBus controller'
said '^00:01\.0  1b36:000c  PCI bridge to bus 01'
said '^01:00\.0  1af4:1044  ' # behind that bridge
said '^ +BAR 5: memory 0x[0-9a-f]+, 4K$'

grew rtc 10 || fail "interrupts of rtc did not grow: $(counts rtc | xargs)"
said '^ +9 +9 +[0-9]+  level  yes +0  acpi$'
said '^ +9 +9 +[0-9]+  level  yes +[1-9][0-9]*  acpi$' # its timer, every 2.3 s
said '^xs: /: ENODEV$'
said '^selftest: [0-9]{2,} passed, 0 failed, [0-9] skipped$'
said 'power: button pressed$'
said 'Entering ACPI S5 state'
if grep -qE 'panic:|crashed|FAILED' "$work/said"; then
    fail "a panic"
fi

# By itself, in a small dom0 with one processor.
boot 'mem; poweroff' --memory 16 --cpus 1 < /dev/null
said 'as dom0: 16 MiB'
said '^\[ *[0-9.]+\] Power off\.$'
if grep -q 'button pressed' "$work/said"; then
    fail "poweroff had to be helped by the power button"
fi

# A start again is a reset, at which this QEMU ends: nothing was turned off, and the lab says so.
if "$lab" dom0 --timeout $limit --log "$work/log" --run reboot > /dev/null 2> "$work/err" < /dev/null; then
    fail "reboot turned the machine off"
fi
grep -q 'Hardware Dom0 shutdown: rebooting machine' "$work/log" || fail "reboot: $(cat "$work/err")"
echo "dom0-boot: passed"
