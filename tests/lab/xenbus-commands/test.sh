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
same "permissions" "$base/a = \"1\"   (n0)" "$(xenbus ls -fp $base | head -n 1)"
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
for command in ls read write rm watch wait devices; do
    same "$command --help" 0 "$(status xenbus $command --help)"
done

say "watch sees changes and removals"
coproc WATCH { exec timeout "$(scaled 60)" xenbus watch --count 4 $base/w; }
read -r -t 30 line <&"${WATCH[0]}"
same "initial event" "$base/w (gone)" "$line"
xenstore-write $base/w 1
read -r -t 30 line <&"${WATCH[0]}"
same "change" "$base/w = \"1\"" "$line"
xenstore-write $base/w/below 2
read -r -t 30 line <&"${WATCH[0]}"
same "change below" "$base/w/below = \"2\"" "$line"
xenstore-rm $base/w/below
read -r -t 30 line <&"${WATCH[0]}"
same "removal" "$base/w/below (gone)" "$line"
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
xenbus devices -d "$domid" | grep -q "xb-guest.*/dev/pts/" || fail "the table does not show the console's terminal"
front=/local/domain/$domid/device/vbd/51712 back=/local/domain/0/backend/qdisk/$domid/51712
xenbus write $front/backend "$back" $front/state 4 "$back/frontend" $front "$back/state" 6
xenbus write -e "$back/params" '/img\xc2\x9b'
xenbus devices -d xb-guest -c vbd | grep -q '^! vbd .*4 Connected *6 Closed */img\\xc2\\x9b' || fail "the mismatch is not marked"
same "raw lines of xenbus devices --json" 0 "$(raw xenbus devices -d xb-guest --json)"
same "check" 1 "$(status xenbus devices --check)"
xenbus rm "$back"
same "one side missing" "mismatch no backend directory" \
    "$(xenbus devices -d xb-guest -c vbd -j | json "j[0]['fit'] + ' ' + j[0]['why']")"
xenbus rm $front
same "check again" 0 "$(status xenbus devices --check --domain xb-guest)"
