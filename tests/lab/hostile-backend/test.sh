# A back end that lies to our guest's front ends, a part of what ./lab conformance tries: answers that nobody asked for or
# asked for otherwise, indices and sizes that cannot be, keys and states that make no sense, pages that are kept, event
# storms, no answer at all. After each lie the guest lives, its shell answers, nothing wrong was delivered and the device can
# be taken away and made again; at the end the daemons of this host serve the same guest.
# timeout: 400
# with: conformance
. ./lib.sh

UNITS+=(duet-net.service)
DISK='id-(unsent|twice)|op-other|status-(1|least)|index-(33|back)|unasked|never|kept|late|sectors-(0|64)|sector-size-3$|shrinks-to-0'
NET='rx-(id-1$|end|size$|status-1$|19|100|unfinished|extra-e|gso-0|ahead|back)|tx-(id|twice|null|status-5|never)|copy-0|ip-control'
BOTH='honest|kicks|offers-(order$|queues-0|discard)|state-(2-4|6|control|gone|storm)|unmade'
timeout "$(scaled 180)" python3 conformance/frontends.py duet --rules "^($BOTH|$DISK|$NET)" > rules.out \
    || fail "a rule was broken: $(grep -E '"broken"|"error"' rules.out)"
kept=$(grep -c '"verdict": "kept"' rules.out)
[ "$kept" -ge 50 ] || fail "only $kept rules were tried"
say "$kept rules kept"
