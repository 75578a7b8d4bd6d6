# Sockets of static programs on four vCPUs of our kernel, over lwIP and among themselves: what programs of ours try is what
# Linux does; who opens, fills and sends files without end gets errors, and the kernel goes on; all memory comes back. busybox
# from Debian's package serves dom0 and asks it; a connection goes on across save and restore.
# timeout: 420
. ./lib.sh

UNITS+=(duet-net.service)
NET=192.168.78

cleanup() {
    [ -z "${server:-}" ] || kill "$server" 2> /dev/null
    [ -z "${worker:-}" ] || kill -CONT "$worker"
    ip addr del $NET.1/24 dev xenbr0
}

cleanup 2> /dev/null || true # of a run that was killed
ip addr add $NET.1/24 dev xenbr0

root=$WORK/root
mkdir -p "$root/bin" "$root/dev" "$root/tmp" "$root/www"
cp /bin/busybox "$root/bin/"
ln -s busybox "$root/bin/sh"
cp /usr/lib/duet/programs/sockets "$root/s"
cp /usr/lib/duet/programs/local "$root/l"
echo hello there > "$root/www/hello.txt"
echo "busybox nc $NET.1 82 < /www/hello.txt" > "$root/www/ask"
echo "busybox nc -l -p 81" > "$root/www/take"
head -c 300001 /dev/urandom > "$root/www/noise"
(cd "$root" && find . | cpio -o -H newc --quiet) > initramfs

kinds="tcp udp six options polls signals ends lies"
locals="streams names messages files lies"
# Connections that both sides have closed stay for 4 s: until those are over there is more in use.
over="exec /bin/busybox sleep 9; mem"
commands="exec /s tcp; exec /l hog; $over; " # first, since the kernel keeps tables for so many stacks, and starts lwIP
expected="0 0 0 0 "
for what in $kinds; do
    commands+="exec /s $what; "
    expected+="0 "
done
for what in $locals; do
    commands+="exec /l $what; "
    expected+="0 "
done
commands+="exec /l hog; $over; exec /s hog"
expected+="0 0 0 0"

guest prog "vcpus = 4" "memory = 64" "vif = [ 'bridge=xenbr0' ]" "ramdisk = '$PWD/initramfs'" \
    "extra = 'ip=$NET.2/24 run=\"$commands\"'"
wait_prompt prog 200
for what in $kinds hog; do
    guest_log prog | grep "^sockets $what: right" > /dev/null ||
        fail "sockets $what: $(guest_log prog | grep '^sockets: ' || guest_log prog | tail -n 30)"
done
for what in $locals hog; do
    guest_log prog | grep "^local $what: right" > /dev/null ||
        fail "local $what: $(guest_log prog | grep '^local: ' || guest_log prog | tail -n 30)"
done
same "how the programs ended" "$expected" "$(guest_log prog | grep '^status: ' | cut -d' ' -f2 | xargs)"

# memory: what is in use, at each `mem`: a line. A page of a slab with nothing in it counts as free.
memory() {
    guest_log prog | awk '$1 == "free" { free = $2 } $1 == "tables" { tables = $2 } $1 == "slabs" { print free + $2, tables, $4 }'
}
same "free memory with slabs, page tables and bytes of slabs, before and after" "$(memory | sed -n 1p)" "$(memory | tail -n 1)"

# What the programs take for right is so on Linux: dom0's.
for what in $kinds; do
    same "sockets $what in dom0" "sockets $what: right" "$(timeout 60 /usr/lib/duet/programs/sockets "$what")"
done
for what in $locals; do
    same "local $what in dom0" "local $what: right" "$(timeout 60 /usr/lib/duet/programs/local "$what")"
done

# busybox serves dom0: a process for each request.
type_to prog "exec /bin/busybox httpd -f -p 80 -h /www"
settles "what busybox httpd serves" "hello there" curl -s --max-time 10 "http://$NET.2/hello.txt"
same "a file of busybox httpd's" "$(sha256sum < "$root/www/noise")" "$(curl -sS --fail "http://$NET.2/noise" | sha256sum)"
timeout 60 wrk -t 1 -c 8 -d 10 --timeout 30 "http://$NET.2/hello.txt" > wrk
say "busybox httpd: $(grep 'requests in' wrk)"
same "requests that failed" "" "$(grep -E 'Socket errors|Non-2xx' wrk || true)"
interrupt prog

# nc, both ways: dom0's bytes come out of the guest's console, and the guest's at dom0.
new_log prog
type_to prog "exec /bin/sh /www/take"
says() { echo "dom0 says so" | timeout 10 busybox nc -w 5 $NET.2 81; }
settles "nc takes what dom0 says" "" says
wait_line prog '^dom0 says so' > /dev/null
echo "dom0 answers" | timeout 60 busybox nc -l -p 82 > heard &
server=$!
type_to prog "exec /bin/sh /www/ask"
wait_line prog '^dom0 answers' > /dev/null
wait "$server"
server=
same "what dom0 heard" "hello there" "$(cat heard)"

# Nobody takes the console's output: a program that writes to it is killed all the same.
new_log prog
type_to prog "exec /s flood 83"
wait_line prog '^sockets: serves' > /dev/null
exec {tells}<> /dev/tcp/$NET.2/83
worker=$(pgrep -P "$(main_pid duet-console.service)")
kill -STOP "$worker"
echo go >&"$tells"
same "what a program says whose child was to be killed in a write" killed "$(timeout 30 head -n 1 <&"$tells")"
kill -CONT "$worker"
worker=
exec {tells}>&-
wait_line prog 'f{511}$' > /dev/null

# A connection goes on where its domain is restored.
new_log prog
type_to prog "exec /s serve 7"
wait_line prog '^sockets: serves' > /dev/null
exec {echoes}<> /dev/tcp/$NET.2/7
echoed() {
    echo "$1" >&"$echoes"
    timeout 60 head -n 1 <&"$echoes"
}
same "an echo" one "$(echoed one)"
save_restore prog
same "an echo of the same connection, after save and restore" two "$(echoed two)"
exec {echoes}>&-

# The same on the kernel that checks the order of its locks.
GUEST_KERNEL=/usr/lib/duet/duet-guest-debug.gz
guest checked "vcpus = 4" "memory = 64" "ramdisk = '$PWD/initramfs'" \
    "extra = 'run=\"$(for what in $kinds; do echo -n "exec /s $what; "; done)exec /l files; exec /l names; exec /l hog; halt\"'"
wait_end checked 150
for what in $kinds; do
    guest_log checked | grep "^sockets $what: right" > /dev/null || fail "sockets $what, checked: $(guest_log checked | tail -n 20)"
done
for what in files names hog; do
    guest_log checked | grep "^local $what: right" > /dev/null || fail "local $what, checked: $(guest_log checked | tail -n 20)"
done
