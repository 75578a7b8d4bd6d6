# Front ends that write nonsense into the store: a malformed, missing or foreign ring-ref, event-channel,
# protocol, ring-page-order. The back end goes to 6 (Closed), the journal and error/backend/... name the
# key and its value, nothing is left behind, and the next device works.
# timeout: 600
. ./lib.sh

# What guests of other tests had is given back in its own time.
settles "workers, before" 0 processes duet-block-worker
linux_guest block-front "extra = 'console=hvc0 run=\"until [ -b /dev/xvdz ]; do sleep 0.2; done\"'"
domid=$(xl domid block-front)
disk=$(image disk.img 8M)
number=51984

# The part of libxl: a device whose front end is ours to write (Linux does not know number 51984 because its
# front end is not under device/).
front=/local/domain/$domid/data/vbd/$number
back=/local/domain/0/backend/vbd/$domid/$number

cleanup() {
    xenstore-rm "$back" 2>/dev/null
}

offer() {
    xenstore-rm "$back" 2>/dev/null || true
    xenstore-rm "$front" 2>/dev/null || true
    xenstore-write "$front/backend" "$back" "$front/backend-id" 0 "$front/state" 1
    xenstore-write "$back/frontend" "$front" "$back/frontend-id" "$domid" "$back/online" 1 \
        "$back/params" "$disk" "$back/mode" w "$back/device-type" disk "$back/script" \
        /etc/xen/scripts/block "$back/state" 1
    wait_store "$back/state" '^2$' 120
}

retire() {
    xenstore-write "$back/online" 0 "$back/state" 5
    wait_store "$back/state" '^6$' 120
    xenstore-rm "$back"
    xenstore-rm "$front"
}

# expect_closed REGEX KEY VALUE...: a front end with these keys is refused with a sentence that matches.
expect_closed() {
    local regex=$1
    shift
    offer
    while [ $# -gt 0 ]; do
        xenstore-write -- "$front/$1" "$2"
        shift 2
    done
    xenstore-write "$front/state" 3
    wait_store "$back/state" '^6$' 120
    local error
    error=$(xenstore-read "/local/domain/0/error/backend/vbd/$domid/$number/error")
    grep -q -E -- "$regex" <<< "$error" || fail "the error node says '$error', not '$regex'"
    wait_journal duet-block.service "vbd $domid/$number: .*$regex"
    retire
}

expect_closed "$front/ring-ref: No such file" event-channel 1
expect_closed "$front/ring-ref = \"x\": not a number" ring-ref x event-channel 1
expect_closed "$front/ring-ref = \"-1\": not a number" ring-ref -1 event-channel 1
expect_closed "$front/ring-ref = \"4294967296\": not a number from 0 to 4294967295" \
    ring-ref 4294967296 event-channel 1
expect_closed "$front/event-channel: No such file" ring-ref 8
expect_closed "$front/event-channel = \"8 \": not a number" ring-ref 8 event-channel "8 "
expect_closed "$front/protocol = \"vax-abi\": not one of" ring-ref 8 event-channel 1 protocol vax-abi
expect_closed "$front/ring-page-order = \"5\": not a number from 0 to 4" ring-page-order 5 event-channel 1
expect_closed "$front/ring-ref1: No such file" ring-page-order 1 ring-ref0 8 event-channel 1
expect_closed "$front/multi-queue-num-queues = \"2\"" multi-queue-num-queues 2 ring-ref 8 event-channel 1
# Numbers that are well formed and wrong are Xen's to refuse.
expect_closed "ring-ref: cannot map reference 4000000" ring-ref 4000000 event-channel 1 protocol x86_64-abi

settles "workers" 0 processes duet-block-worker
settles "users of $disk" "" users_of "$disk"

other=$(image other.img 8M)
timeout 30 xl block-attach block-front "format=raw,vdev=xvdb,access=rw,target=$other"
wait_store "/local/domain/0/backend/vbd/$domid/51728/state" '^4$' 120
