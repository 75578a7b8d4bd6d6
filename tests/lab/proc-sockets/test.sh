# Sockets of static programs on four vCPUs of our kernel, over lwIP: what a program of ours tries is what Linux does; who
# opens and fills without end gets errors, and the kernel goes on; all memory comes back. busybox from Debian's package
# serves dom0 and asks it; a connection goes on across save and restore.
# timeout: 420
. ./lib.sh

UNITS+=(duet-net.service)
NET=192.168.78

cleanup() {
    [ -z "${server:-}" ] || kill "$server" 2> /dev/null
    ip addr del $NET.1/24 dev xenbr0
}

cleanup 2> /dev/null || true # of a run that was killed
ip addr add $NET.1/24 dev xenbr0

root=$WORK/root
mkdir -p "$root/bin" "$root/dev" "$root/www"
cp /bin/busybox "$root/bin/"
ln -s busybox "$root/bin/sh"
cp /usr/lib/duet/programs/sockets "$root/s"
echo hello there > "$root/www/hello.txt"
head -c 300001 /dev/urandom > "$root/www/noise"
(cd "$root" && find . | cpio -o -H newc --quiet) > initramfs

kinds="tcp udp six options polls signals ends lies"
commands="exec /s tcp; mem; " # first, since the kernel keeps tables for stacks, and starts lwIP
expected="0 0 "
for what in $kinds; do
    commands+="exec /s $what; "
    expected+="0 "
done
commands+="mem; exec /s hog; version"
expected+="0 0 0"

guest prog "vcpus = 4" "memory = 64" "vif = [ 'bridge=xenbr0' ]" "ramdisk = '$PWD/initramfs'" \
    "extra = 'ip=$NET.2/24 run=\"$commands\"'"
wait_prompt prog 200
for what in $kinds hog; do
    guest_log prog | grep "^sockets $what: right" > /dev/null ||
        fail "sockets $what: $(guest_log prog | grep '^sockets: ' || guest_log prog | tail -n 30)"
done
same "how the programs ended" "$expected" "$(guest_log prog | grep '^status: ' | cut -d' ' -f2 | xargs)"
