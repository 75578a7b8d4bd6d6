# A back end that lies to our guest's front ends: answers that nobody asked for or asked for otherwise, indices and sizes
# that cannot be, keys and states that make no sense, pages that are kept, event storms, no answer at all. After each lie
# the guest lives, its shell answers, nothing wrong was delivered and the device can be taken away and made again; at the
# end the daemons of this host serve the same guest.
# timeout: 400
# with: conformance
. ./lib.sh

UNITS+=(duet-net.service)
timeout "$(scaled 180)" python3 conformance/frontends.py duet > rules.out || fail "a rule was broken: $(grep -E '"broken"|"error"' rules.out)"
kept=$(grep -c '"verdict": "kept"' rules.out)
[ "$kept" -ge 100 ] || fail "only $kept rules were tried"
say "$kept rules kept"
