# Unmodified static Linux programs run in ring 3 of our kernel: busybox from Debian's package, out of the ramdisk. Whatever
# a program of ours tries that is forbidden ends that program with a sentence, or is an error; the kernel goes on, and all
# memory comes back. A program that runs while its domain is saved goes on where it is restored.
# timeout: 300
. ./lib.sh

root=$WORK/root
mkdir -p "$root/bin" "$root/etc" "$root/dev"
cp /bin/busybox /usr/lib/duet/programs/trial "$root/bin/"
ln -s busybox "$root/bin/sh"
ln -s /etc/greeting "$root/link"
echo hello there > "$root/etc/greeting"
head -c 300001 /dev/urandom > "$root/etc/noise"
printf '\177ELF but no more' > "$root/etc/no-program"
chmod +x "$root/etc/no-program"
cat > "$root/etc/script" << 'SCRIPT'
echo "sum $((6*7)) of $1"
echo a pipe | busybox cat
busybox sha256sum /etc/noise | while read -r sum name; do echo "$name has $sum"; done
busybox false || echo "false is $?"
busybox ls -1 /etc
echo "greeting: $(busybox cat /link)"
cd /etc && pwd && busybox cat greeting
busybox head -c 8192 /dev/zero | busybox wc -c
SCRIPT
cat > "$root/etc/count" << 'SCRIPT'
i=0
while [ $i -lt 1000000 ]; do i=$((i+1)); echo "count $i"; busybox sleep 0.1; done
SCRIPT
(cd "$root" && find . | cpio -o -H newc --quiet) > initramfs

# ran COMMAND STATUS: the guest's shell runs the command, which ends with that status; what it printed is in the log.
ran() {
    new_log prog
    type_to prog "exec $1"
    type_to prog "status"
    wait_line prog '^status: ' 60 > /dev/null
    same "status of $1" "status: $2" "$(guest_log prog | grep -o '^status: .*')"
}

# said REGEX: the last program's output has such a line.
said() {
    guest_log prog | grep -q -E -- "$1" || fail "no line '$1' in: $(guest_log prog)"
}

# interrupt: type ^C.
interrupt() {
    local tty
    tty=$(xenstore-read "/local/domain/$(xl domid prog)/console/tty")
    {
        stty raw -echo <&"$typing"
        printf '\003' >&"$typing"
    } {typing}<> "$tty"
    exec {typing}>&-
}

memory() {
    new_log prog
    type_to prog mem
    wait_line prog '^grants' > /dev/null
    guest_log prog | awk '$1 == "free" || $1 == "tables" { print $2 } $1 == "slabs" { print $4 }' | xargs
}

guest prog "vcpus = 2" "memory = 32" "ramdisk = '$PWD/initramfs'"
wait_prompt prog
ran "/bin/trial forks" 0 # the kernel keeps tables for the stacks of so many
before=$(memory)

ran "/bin/busybox echo one two" 0
said '^one two$'
ran "/bin/busybox cat /link" 0
said '^hello there$'
ran "/bin/sh /etc/script me" 0
said '^sum 42 of me$'
said '^a pipe$'
said "^/etc/noise has $(sha256sum "$root/etc/noise" | cut -d' ' -f1)\$"
said '^false is 1$'
said '^greeting: hello there$'
said '^no-program$'
said '^8192$'
ran "/bin/busybox false" 1
ran "/bin/busybox cat /nothing" 1
said 'No such file or directory'
ran "/etc/no-program" 1
said 'exec: /etc/no-program: it is no ELF64 file'
ran "/nothing" 1

for what in pointers memory registers forks hog; do
    ran "/bin/trial $what" 0
    said "^trial $what: right\$"
done
said 'trial\[[0-9]+\]: ended at 0x[0-9a-f]+: cannot write 0x[0-9a-f]+: no memory is left'

# fault KIND SIGNAL REGEX
fault() {
    ran "/bin/trial fault $1" $((128 + $2))
    said "$3"
}
fault null 11 'trial\[[0-9]+\]: ended at 0x[0-9a-f]+: cannot write 0 \(null pointer\)'
fault kernel 11 'cannot read 0xffffffff80000000'
fault direct-map 11 'cannot write 0xffff880000000000'
fault constant 11 'cannot write 0x4'
fault data 11 'cannot execute 0x7f'
fault canonical 11 'general protection fault'
fault divide 8 'division by zero'
fault opcode 4 'invalid opcode'
fault int3 5 'breakpoint'
fault privileged 11 'general protection fault'
fault stack 11 'cannot write'
fault step 5 'debug exception'
fault selector 11 'ended at'
fault abort 6 ''

# ^C ends what spins.
new_log prog
type_to prog "exec /bin/trial spin"
wait_line prog '^trial: spins' > /dev/null
interrupt
type_to prog status
wait_line prog '^status: 130' > /dev/null

new_log prog
type_to prog "exec /bin/sh /etc/count"
wait_line prog '^count 3$' > /dev/null
save_restore prog
new_log prog
wait_line prog '^count [0-9]+$' > /dev/null
interrupt
type_to prog status
wait_line prog '^status: 130' > /dev/null

same "memory free, page tables, bytes of slabs" "$before" "$(memory)"
