# A guest that abuses its block back end does not hurt the one beside it. While our guest breaks every rule that there is
# (`blkabuse`), the neighbour's `journal` goes on, nothing of it is lost, and no line of the log is about it. The abuser's
# worker answers as the protocol allows, with the right sentence in the log, and is not killed; when the abuser has
# driven it to close the disk, it gets it back. How much the neighbour writes beside notifications as fast as a vCPU can, and
# beside requests that change while they are read, is compared with what it writes beside a guest that merely spins:
# at least a quarter. All of them take the processors that an emulator has. If it is less, something else may have had them
# for those two seconds: then the medians of three turns count. It finds a neighbour that is starved.
# timeout: 400
. ./lib.sh

# rate KIND: what the neighbour writes a second while the abuser does so, one more line of KIND.rate.
rate() {
    local before began rate
    new_log blk-abuser
    type_to blk-abuser "blkabuse xvda $1 $(scaled 600)"
    journal_grows blk-neighbour
    before=${JOURNALED[blk-neighbour]} began=${EPOCHREALTIME/./}
    journal_grows blk-neighbour
    until [ $((${EPOCHREALTIME/./} - began)) -ge 2000000 ]; do
        journal_grows blk-neighbour
    done
    rate=$(((JOURNALED[blk-neighbour] - before) * 1000000 / (${EPOCHREALTIME/./} - began)))
    echo $rate >> "$1.rate"
    say "beside $1: $rate blocks a second, longest pause $JOURNAL_PAUSE"
    type_to blk-abuser $'\003'
    wait_line blk-abuser '^blkabuse: interrupted' > /dev/null
}

# median KIND: of what it wrote so far.
median() {
    sort -n "$1.rate" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# starved: the kinds beside which it wrote too little.
starved() {
    local kind
    for kind in kicks twice-header; do
        [ "$(median $kind)" -ge $(($(median spin) / 4)) ] || echo $kind
    done
}

scratch=$(image scratch.img 1M)
readonly=$(image readonly.img 1M)
journal=$(image journal.img 4M)
head -c 1M /dev/urandom > "$scratch"
cp "$scratch" "$readonly"
sum=$(sha256sum < "$readonly")
guest blk-abuser "vcpus = 2" "disk = [ $(disk "$scratch"), $(disk "$readonly" xvdb r) ]"
guest blk-neighbour "disk = [ $(disk "$journal") ]" "extra = 'run=\"journal start xvda\"'"
wait_prompt blk-abuser
wait_line blk-abuser 'xvda: [0-9]+ MiB' > /dev/null
wait_line blk-abuser 'xvdb: [0-9]+ MiB' > /dev/null
wait_prompt blk-neighbour
abuser=$(xl domid blk-abuser) neighbour=$(xl domid blk-neighbour)
journal_grows blk-neighbour

say "every rule"
new_log blk-abuser
type_to blk-abuser "blkabuse xvdb all 1; blkabuse xvda all 1; echo over-''now"
wait_line blk-abuser '^over-now' 300 > /dev/null
journal_grows blk-neighbour
broken=$(guest_log blk-abuser | grep -E 'BROKEN|^blkabuse: .*(use|served)' || true)
same "rules that are broken" "" "$broken"
same "sums" "blkabuse: 0 broken blkabuse: 0 broken" \
    "$(guest_log blk-abuser | sed -n 's/^blkabuse: [0-9]* kept, \([0-9]* broken\), .*/blkabuse: \1/p' | xargs)"
guest_log blk-abuser | grep -E '^blkabuse: [5-9][0-9] kept' > /dev/null || fail "few rules were tried"
wait_journal duet-block.service "vbd $abuser/51712: refused request of the guest: "
wait_journal duet-block.service "vbd $abuser/51712: connects again too soon: waits |vbd $abuser/51712: .*ring"

for turn in 1 2 3; do
    for kind in spin kicks twice-header; do
        rate $kind
    done
    [ $turn -ne 1 ] || [ -n "$(starved)" ] || break
done
same "beside what the neighbour writes less than a quarter of what it writes beside spin" "" "$(starved)"

journal_ends blk-neighbour "$journal"
same "the read-only disk" "$sum" "$(sha256sum < "$readonly")"
log=$(journalctl -q -o cat --since "@$BEGAN" --unit duet-block.service)
same "what is said of the neighbour" "" "$(grep -E "vbd $neighbour/" <<< "$log" | grep -v -E 'connected|serves|: image |worker|storage (does not answer|answers again)' || true)"
same "workers that were killed" "" "$(grep -E 'worker.*(killed|starting another)' <<< "$log" || true)"
