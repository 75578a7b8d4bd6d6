#!/bin/bash
# What our guest writes and flushes is on the disk, byte for byte and nowhere else: a pattern that names
# each record's offset, at both ends of the disk and across an odd place, copied within the guest from
# one disk to another, and read back by the guest itself.
# timeout: 240
. ./lib.sh

first=$(image first.img 32M)
second=$(image second.img 8M)
guest writer "disk = [ $(disk "$first" xvda), $(disk "$second" xvdb) ]" "on_poweroff = 'destroy'" \
    "extra = 'run=\"dd if=pattern:0x5eed of=xvda bs=128k count=40 conv=fsync;\
 dd if=pattern:77 of=xvda bs=512 seek=65535; dd if=pattern:88 of=xvda bs=1536 count=7 seek=8001;\
 dd if=xvda of=xvdb bs=64k skip=3 seek=5 count=16; sync; dd if=xvda verify=pattern:0x5eed bs=4k count=1280;\
 dd if=xvda verify=pattern:0x5eed bs=4k skip=1279 count=2; dd if=zero of=xvdb bs=512 count=1 seek=640;\
 sync xvdb; halt\"'"

cat > expected.py <<'PYTHON'
import sys


def pattern(seed, offset, length):
    return b"".join(b"%08x %016x duet.\n" % (seed, at) for at in range(offset, offset + length, 32))


def put(disk, offset, data):
    disk[offset:offset + len(data)] = data


first = bytearray(32 << 20)
second = bytearray(8 << 20)
put(first, 0, pattern(0x5eed, 0, 40 * 131072))
put(first, 65535 * 512, pattern(77, 65535 * 512, 512))
put(first, 8001 * 1536, pattern(88, 8001 * 1536, 7 * 1536))
put(second, 5 * 65536, first[3 * 65536:19 * 65536])
put(second, 640 * 512, bytes(512))
for want, path in (first, sys.argv[1]), (second, sys.argv[2]):
    with open(path, "rb") as file:
        have = file.read()
    if have != want:
        at = next(i for i, (a, b) in enumerate(zip(have, want)) if a != b) if len(have) == len(want) else 0
        sys.exit(f"{path}: differs at byte {at}: {have[at:at + 32]!r}, not {want[at:at + 32]!r}")
PYTHON
wait_end writer 150
same "exit statuses" "0 0 0 0 0 0 1 0 0" "$(guest_log writer | sed -n 's/^status: //p' | xargs)"
guest_log writer | grep '^dd: xvda: differs from pattern:0x5eed at byte 5242880$' > /dev/null \
    || fail "the guest did not see where the pattern ends"
python3 expected.py "$first" "$second"
