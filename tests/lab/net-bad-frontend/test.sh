# Front ends of network devices that write nonsense into the store: malformed, missing or foreign ring
# references, event channels, features and numbers of queues. The back end goes to 6 (Closed), the journal
# and error/backend/... name the key and its value, and neither interface nor process is left behind.
# timeout: 400
. ./lib.sh

UNITS+=(duet-net.service)
guest net-front
domid=$(xl domid net-front)
front=/local/domain/$domid/data/vif/9
back=/local/domain/0/backend/vif/$domid/9

cleanup() {
    xenstore-rm "$back" 2> /dev/null
}

# The part of libxl, without a script.
offer() {
    xenstore-write "$front/backend" "$back" "$front/backend-id" 0 "$front/state" 1
    xenstore-write "$back/frontend" "$front" "$back/frontend-id" "$domid" "$back/online" 1 "$back/state" 1
    wait_store "$back/state" '^2$' 60
}

# refused REGEX KEY VALUE...: a front end with these keys is closed, with a sentence that matches.
refused() {
    local regex=$1 error
    shift
    offer
    xenstore-write -- "$front/request-rx-copy" 1
    while [ $# -gt 0 ]; do
        xenstore-write -- "$front/$1" "$2"
        shift 2
    done
    xenstore-write "$front/state" 4
    wait_store "$back/state" '^6$' 60
    error=$(xenstore-read "/local/domain/0/error/backend/vif/$domid/9/error")
    grep -q -E -- "$regex" <<< "$error" || fail "the error node says '$error', not '$regex'"
    wait_journal duet-net.service "vif $domid/9: .*$regex"
    xenstore-rm "$back"
    xenstore-rm "$front"
}

refused "$front/tx-ring-ref: No such file"
refused "$front/tx-ring-ref = \"x\": not a number" tx-ring-ref x
refused "$front/rx-ring-ref: No such file" tx-ring-ref 8
refused "$front/rx-ring-ref = \"-1\": not a number" tx-ring-ref 8 rx-ring-ref -1
refused "$front/event-channel = \"8 \": not a number" tx-ring-ref 8 rx-ring-ref 9 event-channel "8 "
refused "$front/event-channel-rx: No such file" tx-ring-ref 8 rx-ring-ref 9 event-channel-tx 1
refused "$front/request-rx-copy is not 1" request-rx-copy 0
refused "$front/multi-queue-num-queues = \"99\"" multi-queue-num-queues 99
refused "$front/feature-sg = \"maybe\"" feature-sg maybe
refused "$front/event-channel-ctrl: No such file" tx-ring-ref 8 rx-ring-ref 9 event-channel 1 ctrl-ring-ref 10
# Numbers that are well formed and wrong are Xen's to refuse.
refused "tx-ring-ref: cannot map reference 4000000" tx-ring-ref 4000000 rx-ring-ref 9 event-channel 1

wait_journal duet-net.service "vif $domid/9: removed"
same "processes" "" "$(pgrep -f "/duet-net-worker . vif$domid\.9" || true)"
no_interface "vif$domid.*"
