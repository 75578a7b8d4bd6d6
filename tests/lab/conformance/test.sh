# Our back ends keep the rules that ./lab conformance tries on any: those that take no time, one by one, each judged by
# a guest that breaks it. The others are tried by block-neighbour and net-neighbour.
# timeout: 400
. ./lib.sh

UNITS+=(duet-net.service)
QUICK='^(good|op|seg|end|gref-[no]|ind|discard|flush|id|ro)|^index-33|^net-(0[1-9]|1[78]|2[3-9]|[34])'
timeout 360 python3 rules.py duet --rules "$QUICK" > rules.out || fail "a rule was broken: $(grep -E '"broken"|"error"' rules.out)"
kept=$(grep -c '"verdict": "kept"' rules.out)
[ "$kept" -ge 60 ] || fail "only $kept rules were tried"
say "$kept rules kept, $(grep -c '"verdict": "n/a"' rules.out) do not apply"
