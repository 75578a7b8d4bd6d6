# xenbus trace on a real host: a guest that is created is followed by a name that comes later, until its disk and its
# interface are connected, each step once and in the order of the protocol; what was recorded shows the same; a
# guest whose driver does not come is told from a back end that does not come.
# timeout: 240
. ./lib.sh

UNITS+=(duet-net.service)

cleanup() {
    systemctl start duet-block.service
}

# json PYTHON: evaluate an expression on the lines of JSON of stdin, as the list `j`.
json() {
    python3 -c "import json, sys; j = [json.loads(line) for line in sys.stdin]; print($1)"
}

# begin_trace OPTION...: start one and wait until it follows; its process is TRACER.
begin_trace() {
    : > trace.rec
    xenbus trace --record trace.rec "$@" > trace.out 2> trace.err &
    TRACER=$!
    settles "a recording that has begun" there sh -c "grep -q '/local/domain/0/name' trace.rec && echo there"
}

say "a guest from its creation until it is connected"
begin_trace --domain traced --json --until-settled --timeout "$(scaled 100)"
guest traced "disk = [ $(disk "$(image a.img 1M)") ]" "vif = [ 'bridge=xenbr0' ]"
wait_prompt traced
domid=$(xl domid traced)
wait "$TRACER" || fail "a step was missing: $(cat trace.out trace.err)"
same "states of the disk, its last ones" "backend 4 frontend 4" \
    "$(json "' '.join(s['side'] + ' ' + str(s['state']) for s in [s for s in j if s['class'] == 'vbd' and s['step'] == 'state'][-2:])" < trace.out)"
same "no state twice in a row" True \
    "$(json "all(a['state'] != b['state'] for c in ('vbd', 'vif') for side in ('backend', 'frontend') for s in [[s for s in j if s['class'] == c and s['side'] == side and s['step'] == 'state']] for a, b in zip(s, s[1:]))" < trace.out)"
same "only this guest" "{$domid}" "$(json "{s['domid'] for s in j}" < trace.out)"
same "times do not go back" True "$(json "all(a['time'] <= b['time'] for a, b in zip(j, j[1:]) if b['step'] != 'keys' and a['step'] != 'keys')" < trace.out)"
same "the ring is published before the guest says that it is ready" True \
    "$(json "(lambda f: [s['step'] == 'keys' and 'ring-ref' in s['text'] for s in f].index(True) < [s.get('state') in (3, 4) for s in f].index(True))([s for s in j if s['class'] == 'vbd' and s['side'] == 'frontend'])" < trace.out)"

say "the recording shows the same"
xenbus trace --json --domain traced --from trace.rec > again.out
cmp trace.out again.out
head -c 200 trace.rec > cut.rec
ended=0
xenbus trace --from cut.rec > /dev/null 2>&1 || ended=$?
same "cut short" 2 "$ended"

say "a back end that does not come"
systemctl stop duet-block.service
begin_trace --timeout "$(scaled 60)" --slow 0.5
xenbus write /local/domain/0/backend/vbd3/"$domid"/51728/frontend "/local/domain/$domid/device/vbd/51728" \
    "/local/domain/$domid/device/vbd/51728/backend" "/local/domain/0/backend/vbd3/$domid/51728" \
    "/local/domain/$domid/device/vbd/51728/state" 1 /local/domain/0/backend/vbd3/"$domid"/51728/state 1
xenbus write -e /local/domain/0/error/device/vbd/51728/error 'evil \x1b[2J'
settles "its last key" there sh -c "grep -q '0/error/device/vbd/51728/error' trace.rec && echo there"
kill "$TRACER"
ended=0
wait "$TRACER" || ended=$?
same "exit status" 1 "$ended"
grep -q "MISSING: takes the device" trace.out || fail "the missing step is not told: $(cat trace.out)"
same "raw lines" 0 "$(LC_ALL=C grep -c $'[^ -~]' trace.out || true)"
xenbus rm "/local/domain/0/backend/vbd3/$domid/51728" "/local/domain/$domid/device/vbd/51728" /local/domain/0/error/device/vbd/51728
systemctl start duet-block.service
