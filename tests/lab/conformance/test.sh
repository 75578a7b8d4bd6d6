# Our back ends keep the rules that ./lab conformance tries on any: those that take no time, one by one, each judged by
# a guest that breaks it. The others are tried by block-neighbour and net-neighbour.
# timeout: 400
. ./lib.sh

UNITS+=(duet-net.service)
QUICK='^(good-page|seg|end|gref-[no]|ind-(seg|gref)|ro|keys)|^index-33|^net-(0[18]|2[5-9]|4[0-5])'
timeout 350 python3 rules.py duet --rules "$QUICK" > rules.out || fail "a rule was broken: $(grep -E '"broken"|"untried"|"error"' rules.out)"
kept=$(grep -c '"verdict": "kept"' rules.out)
[ "$kept" -ge 45 ] || fail "only $kept rules were tried"
say "$kept rules kept, $(grep -c '"verdict": "n/a"' rules.out) do not apply"
