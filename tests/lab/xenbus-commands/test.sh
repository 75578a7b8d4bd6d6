# The xenbus tool on the real store: each command in plain text and in JSON, its exit status, watches that see
# changes, waits that end by the event or with 124.
# timeout: 240
. ./lib.sh

base=/tool/xenbus-test
cleanup() {
    xenbus rm -f $base > /dev/null
}
cleanup

# status COMMAND...: run it, print its exit status.
status() {
    local s=0
    "$@" > /dev/null 2>&1 || s=$?
    echo $s
}

# json PYTHON: evaluate an expression on the JSON of stdin, as `j`.
json() {
    python3 -c "import json, sys; j = json.load(sys.stdin); print($1)"
}

say "write and read, several at once, bytes that are no text"
xenbus write $base/a 1 $base/b 'two words'
same "two values" $'1\ntwo words' "$(xenbus read $base/a $base/b)"
xenbus write -e $base/bytes 'x\x00\xff\n'
same "escaped" 'x\x00\xff\n' "$(xenbus read $base/bytes)"
same "raw" "7800ff0a" "$(xenbus read --raw $base/bytes | od -An -tx1 | tr -d ' \n')"
same "json" "1 None 7800ff0a" \
    "$(xenbus read --json $base/a $base/bytes | json "j[0]['value'], j[1]['value'], j[1]['hex']")"
same "as xenstore-read sees it" 1 "$(xenstore-read $base/a)"

say "nothing that a guest wrote reaches a terminal raw, in no format"
# DEL, C1 controls, an override of the direction, a space without width, a byte that is no UTF-8.
xenbus write -e $base/evil/text 'a\x7f\xc2\x9b2J\xe2\x80\xae\xe2\x80\x8b' $base/evil/bytes '\x9b\xff\x1b[2J'
raw() {
    { "$@" 2>&1 || true; } | LC_ALL=C grep -c $'[^\t -~]' || true
}
for format in "" --json; do
    for command in "read $base/evil/text $base/evil/bytes" "ls $base/evil" "watch --count 1 $base/evil/text" \
        "watch --count 1 $base/evil/bytes" "wait --timeout 0 $base/evil/text x" "wait --timeout 0 $base/evil/bytes x"; do
        # shellcheck disable=SC2086 # words on purpose
        same "raw lines of xenbus $command $format" 0 "$(raw xenbus $command $format)"
    done
done
same "json gives the text back" "True" \
    "$(xenbus read --json $base/evil/text | json "j[0]['value'] == 'a\x7f\x9b2J\u202e\u200b'")"
xenbus rm $base/evil

say "a write is all or nothing"
same "bad path among good ones" 2 "$(status xenbus write $base/c 1 '/not//a/path' 2)"
same "the good one was not written" 1 "$(status xenbus read $base/c)"

say "ls: the tree, whole paths, one level, permissions, JSON"
xenbus write $base/dir/deep/leaf v
same "tree" $'a = "1"\nb = "two words"\nbytes = "x\\x00\\xff\\n"\ndir = ""\n deep = ""\n  leaf = "v"' "$(xenbus ls $base)"
same "one level" "a b bytes dir" "$(xenbus ls -1n $base | tr '\n' ' ' | sed 's/ $//')"
same "whole path" "$base/dir/deep/leaf = \"v\"" "$(xenbus ls --full $base/dir | tail -n 1)"
same "permissions" "$base/a = \"1\"   (n0)" "$(xenbus ls -fp $base | sed -n 1p)"
same "json" v "$(xenbus ls --json $base | json "j[0]['children'][3]['children'][0]['children'][0]['value']")"
same "all of the store is what xenstore-ls sees" "$(xenstore-ls -f | cut -d ' ' -f 1 | sort | md5sum)" \
    "$(xenbus ls -fn | sort | md5sum)"

say "what is not there, what is wrong"
same "read" 1 "$(status xenbus read $base/nothing)"
same "ls" 1 "$(status xenbus ls $base/nothing)"
same "rm" 1 "$(status xenbus rm $base/nothing)"
same "rm --force" 0 "$(status xenbus rm --force $base/nothing)"
same "no arguments" 2 "$(status xenbus read)"
same "unknown command" 2 "$(status xenbus frobnicate)"
for command in ls read write rm watch wait devices exists chmod transaction export import diff doctor trace graph bundle; do
    same "$command --help" 0 "$(status xenbus $command --help)"
done

say "watch sees changes and removals"
exec {events}< <(exec timeout "$(scaled 60)" xenbus watch --count 4 $base/w) # it ends by itself, and may do so before it is read
read -r line <&"$events"
same "initial event" "$base/w (gone)" "$line"
xenstore-write $base/w 1
read -r line <&"$events"
same "change" "$base/w = \"1\"" "$line"
xenstore-write $base/w/below 2
read -r line <&"$events"
same "change below" "$base/w/below = \"2\"" "$line"
xenstore-rm $base/w/below
read -r line <&"$events"
same "removal" "$base/w/below (gone)" "$line"
exec {events}<&-
same "json event" "True" "$(xenbus watch --json --count 1 $base/a | json "j['value'] == '1' and j['initial']")"
same "timeout" 124 "$(status xenbus watch --changes --timeout 0.2 $base/a)"

say "wait: by the event, at once, or 124"
xenbus wait --timeout 60 $base/state 4 &
waiter=$!
xenstore-write $base/state 3
xenstore-write $base/state 4
wait $waiter
xenbus wait --timeout 60 --gone $base/state &
waiter=$!
xenstore-rm $base/state
wait $waiter
xenbus wait --timeout 60 --exists $base/state &
waiter=$!
xenstore-write $base/state ''
wait $waiter
same "already so" 0 "$(status xenbus wait --timeout 0 $base/a 1)"
same "never so" 124 "$(status xenbus wait --timeout 0.2 $base/a 2)"
same "json of a timeout" "True 1" "$({ xenbus wait -j -t 0 $base/a 2 2> /dev/null || true; } | json "str(j['timed_out']) + ' ' + j['value']")"

say "devices: a guest's console, and what does not fit"
linux_guest xb-guest "extra = 'console=hvc0'"
domid=$(xl domid xb-guest)
timeout 30 xenbus wait --exists "/local/domain/$domid/console/tty"
same "console" "settled console 0" \
    "$(xenbus devices --domain xb-guest --json | json "' '.join([j[0]['fit'], j[0]['kind'], j[0]['device']])")"
xenbus devices -d "$domid" | grep "xb-guest.*/dev/pts/" > /dev/null || fail "the table does not show the console's terminal"
front=/local/domain/$domid/device/vbd/51712 back=/local/domain/0/backend/qdisk/$domid/51712
xenbus write $front/backend "$back" $front/state 4 "$back/frontend" $front "$back/state" 6
xenbus write -e "$back/params" '/img\xc2\x9b'
xenbus devices -d xb-guest -c vbd | grep '^! vbd .*4 Connected *6 Closed */img\\xc2\\x9b' > /dev/null || fail "the mismatch is not marked"
same "raw lines of xenbus devices --json" 0 "$(raw xenbus devices -d xb-guest --json)"
same "check" 1 "$(status xenbus devices --check)"
xenbus rm "$back"
same "one side missing" "mismatch no backend directory" \
    "$(xenbus devices -d xb-guest -c vbd -j | json "j[0]['fit'] + ' ' + j[0]['why']")"
xenbus rm $front
same "check again" 0 "$(status xenbus devices --check --domain xb-guest)"

say "bundle: a whole report, no secret in it, and nothing left behind"
xenbus write $base/vncpasswd s3cret1 $base/params nbd://me:s3cret2@host/x
xenbus bundle -j -o report.tar.gz > report.json
same "who may read it" "600" "$(stat -c %a report.tar.gz)"
tar -xzf report.tar.gz
same "files that have less than they should" "" "$(json "' '.join(c['file'] for c in j['contents'] if c['lacks'])" < report.json)"
same "that secrets were left out is told" True "$(json "j['secrets_left_out'] >= 2" < report.json)"
grep -r s3cret duet-*/ && fail "a secret is in the report"
same "the guest, by xl, by xenbus, in the store" "3" \
    "$(grep -l xb-guest duet-*/xl-list.txt duet-*/devices.txt duet-*/store.json | wc -l)"
same "an export for doctor and diff" 1 "$(status xenbus diff duet-*/store.json)"
same "it is there already" 1 "$(status xenbus bundle -o report.tar.gz)"
mkdir slow
printf '#!/bin/sh\nexec sleep 98765\n' > slow/xl
chmod +x slow/xl
PATH=$PWD/slow:$PATH xenbus bundle -j -t 1 -o slow.tar.gz > slow.json 2> /dev/null
same "what does not answer" "xl-list.txt xl-info.txt xl-vcpus.txt xl-dmesg.txt" \
    "$(json "' '.join(c['file'] for c in j['contents'] if 'did not end' in (c['lacks'] or '') and c['what'].startswith('xl '))" < slow.json)"
PATH=$PWD/slow:$PATH xenbus bundle -t 1000 -o never.tar.gz 2> /dev/null &
timeout 60 sh -c 'until pgrep -f "sleep 9876[5]" > /dev/null; do sleep 0.1; done'
kill -INT $!
wait $! && fail "an interrupted report is none"
same "left behind" "" "$(ls -d never.tar.gz /var/tmp/duet-bundle* 2> /dev/null || true)$(pgrep -f 'sleep 9876[5]' || true)"
xenbus rm $base/vncpasswd $base/params

say "exists: yes, no, and cannot tell"
same "yes" 0 "$(status xenbus exists $base/a $base/b)"
same "no" 1 "$(status xenbus exists $base/a $base/nothing)"
same "wrong" 2 "$(status xenbus exists '//a')"
same "without xenstored" 2 "$(XENSTORED_PATH=/nowhere status xenbus exists $base/a)"
same "json" "True False" "$({ xenbus exists -j $base/a $base/nothing || true; } | json "j[0]['exists'], j[1]['exists']")"

say "chmod: one node, a tree, nothing when a word is wrong"
xenbus chmod $base/dir n0 r5
same "one node" "$base/dir = \"\"   (n0,r5)" "$(xenbus ls -fp -d 0 $base/dir)"
same "not below" "$base/dir/deep = \"\"   (n0)" "$(xenbus ls -fp -d 0 $base/dir/deep)"
same "tree" 3 "$(xenbus chmod -R -j $base/dir b0 r5 | json "j['changed']")"
same "as xenstore-ls sees it" 3 "$(xenstore-ls -fp $base | grep -c '/dir.*(b0,r5)')"
same "bad word" 2 "$(status xenbus chmod $base/dir x5)"
same "missing" 1 "$(status xenbus chmod $base/nothing n0)"

say "transaction: all or nothing, the line that failed, conflicts with others"
printf 'write %s/t/1 "x \\x00 y"\nequals %s/a 1\nchmod %s/t n0 r7\n' $base $base $base | xenbus transaction
same "bytes" 'x \x00 y' "$(xenbus read $base/t/1)"
same "permissions" "$base/t = \"\"   (n0,r7)" "$(xenbus ls -fp -d 0 $base/t)"
printf 'write %s/t/2 1\n# remark\nequals %s/a 2\n' $base $base > script
same "a condition fails" 1 "$(status xenbus transaction script)"
same "nothing was done" 1 "$(status xenbus exists $base/t/2)"
same "which line" "script:3:" "$({ xenbus transaction script 2>&1 || true; } | grep -o 'script:3:')"
same "json" "False 3" "$({ xenbus transaction -j script 2> /dev/null || true; } | json "j['applied'], j['line']")"
xenbus write $base/counter 0
for _ in 1 2 3; do
    for _ in 1 2 3 4 5; do
        # Each adds one; who sees another's number by then tries again.
        until n=$(xenbus read $base/counter) && printf 'equals %s/counter %d\nwrite %s/counter %d\n' $base "$n" $base $((n + 1)) |
            xenbus transaction 2> /dev/null; do :; done
    done &
done
wait
same "fifteen additions by three" 15 "$(xenbus read $base/counter)"

say "export and import: equal to the byte, permissions included"
python3 - > all-bytes << 'PYTHON'
for byte in range(256):
    print(f'write /tool/xenbus-test/bytes/{byte} "x\\x{byte:02x}"')
PYTHON
xenbus transaction all-bytes
xenbus export $base > before.json
same "no difference" 0 "$(status xenbus diff before.json)"
xenbus rm $base
same "all is gone" 1 "$(status xenbus diff before.json)"
xenbus import before.json
xenbus export $base > after.json
cmp before.json after.json
xenbus write $base/a 2 $base/extra 1
xenbus chmod $base/b n0 r9
same "diff" $'~ '$base$'/a = "1" -> "2"\n~ '$base$'/b   (n0) -> (n0,r9)\n+ '$base$'/extra = "1"   (n0)' "$(xenbus diff before.json || true)"
same "diff in JSON" "changed changed added" "$({ xenbus diff -j before.json || true; } | json "' '.join(d['change'] for d in j)")"
same "by difference" "1 1 1" "$(xenbus import --replace -j before.json | json "j['written'], j['permissions'], j['removed']" | tr -d '(),')"
xenbus export $base | cmp before.json -
python3 -m json.tool before.json > pretty.json
same "another layout" 0 "$(status xenbus diff pretty.json)"
head -c 1000 before.json > cut.json
same "cut short: diff, import, doctor" "2 1 2" \
    "$(status xenbus diff cut.json) $(status xenbus import cut.json) $(status xenbus doctor --from cut.json)"
same "an export that does not fit on the disk" 1 "$(status sh -c "xenbus export $base > /dev/full")"

say "the rest writes nothing raw either, wherever the bytes stand"
evil='\xc2\x9b\x1b[2J\xff'
xenbus write -e $base/evil "$evil"
xenbus export $base > evil.json
xenbus write $base/evil 1
printf 'equals %s/evil "%s"\n' $base "$evil" > evil.script
for format in "" --json; do
    for command in "export $base" "diff evil.json" "diff before.json evil.json" "transaction evil.script" "exists $base/evil" \
        "import evil.json" "chmod $base/evil n0" $'chmod /a\x1b[2J n0' $'diff \x1b[2J' $'doctor --from \x1b[2J' "doctor --list" \
        $'trace --from \x1b[2J' "trace --timeout 0" graph; do
        # shellcheck disable=SC2086 # words on purpose
        same "raw lines of xenbus $command $format" 0 "$(raw xenbus $command $format)"
    done
done
