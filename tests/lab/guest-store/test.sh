#!/bin/bash
# Our guest as a client of the store: it reads, writes and removes what it may, is refused what it may not, lists a
# directory that is longer than one message, and sees a value whatever bytes are in it.
# timeout: 240
. ./lib.sh

guest client "on_poweroff = 'destroy'"
wait_prompt client
id=$(xl domid client)
data=/local/domain/$id/data
xenstore-write "$data/odd" $'a\tb\x01\xff"c"'
for i in $(seq 90); do
    printf '%s\n' "$data/many/entry-with-a-name-that-is-long-so-that-few-make-a-long-list-$i" x
done | xargs -n 200 xenstore-write
xenstore-chmod -r "$data/many" "n0" "r$id"

attach client
# tell COMMAND: type a line at the guest's console, and wait until it was done.
tell() {
    new_log client
    type_line "$1; echo that-''is-all"
    wait_line client '^that-is-all' > /dev/null
}

tell 'xs write data/a/b "two words"; xs read data/a/b; xs ls -r data/a'
same "what the guest wrote" "two words" "$(xenstore-read "$data/a/b")"
guest_log client | grep -xF 'two words' > /dev/null || fail "the guest does not read what it wrote"
guest_log client | grep -xF 'b = "two words"' > /dev/null || fail "the guest does not list what it wrote"
tell 'xs read data/odd'
guest_log client | grep -xF 'a\x09b\x01\xff"c"' > /dev/null || fail "the odd value: $(guest_log client)"
tell 'xs ls data/many'
same "names in the long list" 90 "$(guest_log client | grep -c '^entry-with-a-name-that-is-long-so-that-few-make-a-long-list-[0-9]* = "x"$')"
tell 'xs rm data/a; xs read data/a/b; xs write /local/domain/0/name x; xs read data/nothing'
! xenstore-exists "$data/a" || fail "data/a was not removed"
guest_log client | grep -xF 'xs: data/a/b: ENOENT' > /dev/null || fail "no error for a removed node"
guest_log client | grep -xF 'xs: /local/domain/0/name: EACCES' > /dev/null || fail "no refusal"
guest_log client | grep -xF 'xs: data/nothing: ENOENT' > /dev/null || fail "no error for a missing node"

say "a storm of watches"
for i in $(seq 200); do
    printf '%s\n' "/local/domain/$id/device/storm/$((i % 50))/key$i" "$i"
done | xargs -n 100 xenstore-write
xenstore-rm "/local/domain/$id/device/storm"
tell 'xs stat; lsdev'
guest_log client | grep -E '^[0-9]+ requests, [0-9]+ watches, [0-9]+ events .* 0 garbled messages$' > /dev/null \
    || fail "statistics: $(guest_log client)"
! guest_log client | grep 'device/storm' > /dev/null || fail "lsdev shows what is no device"
