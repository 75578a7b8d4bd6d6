# Unmodified static Linux programs run in ring 3 of our kernel: busybox from Debian's package, out of the ramdisk. Whatever
# a program of ours tries that is forbidden ends that program with a sentence, or is an error; the kernel goes on, and all
# memory comes back. Signals do what they do on Linux. A program that runs while its domain is saved goes on where it is
# restored.
# timeout: 300
. ./lib.sh

root=$WORK/root
mkdir -p "$root/bin" "$root/etc" "$root/dev"
cp /bin/busybox "$root/bin/"
cp /usr/lib/duet/programs/trial "$root/t"
cp /usr/lib/duet/programs/signals "$root/s"
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
trap 'echo trapped' USR1
kill -USR1 $$
(busybox sleep 0.3; exit 7) &
wait $!
echo "waited for $?"
busybox sleep 100 & kill $!
wait $!
echo "killed: $?"
SCRIPT
cat > "$root/etc/count" << 'SCRIPT'
i=0
while [ $i -lt 1000000 ]; do i=$((i+1)); echo "count $i"; busybox sleep 0.1; done
SCRIPT
(cd "$root" && find . | cpio -o -H newc --quiet) > initramfs

# What is run at the start, one after the other, and how each has to end.
commands="" expected=""
runs() {
    commands+="exec $1; "
    expected+="$2 "
}
runs "/t forks" 0 # first, since the kernel keeps tables for the stacks of so many
runs "/t pointers" 0 # and with the first socket it starts lwIP
commands+="mem; " expected+="0 "
runs "/bin/busybox echo one two" 0
runs "/bin/busybox cat /link" 0
runs "/bin/sh /etc/script me" 0
runs "/bin/busybox false" 1
runs "/bin/busybox cat /nothing" 1
runs "/etc/no-program" 1
runs "/nothing" 1
for what in pointers memory registers hog; do
    runs "/t $what" 0
done
for fault in null:11 kernel:11 direct-map:11 constant:11 data:11 canonical:11 divide:8 opcode:4 int3:5 privileged:11 stack:11 \
    step:5 selector:11 abort:6; do
    runs "/t fault ${fault%:*}" $((128 + ${fault#*:}))
done
for what in handlers faults calls lies; do
    runs "/s $what" 0
done
for end in no-restorer:11 no-stack:11 in-handler:11 high-handler:11 default:34; do
    runs "/s end ${end%:*}" $((128 + ${end#*:}))
done
commands+="mem" expected+="0"

# memory: what is in use, at each `mem`: a line.
memory() {
    guest_log prog | awk '$1 == "free" || $1 == "tables" { printf "%s ", $2 } $1 == "slabs" { print $4 }'
}

guest prog "vcpus = 2" "memory = 32" "ramdisk = '$PWD/initramfs'" "extra = 'run=\"$commands\"'"
wait_prompt prog 120
same "how the programs ended" "$expected" "$(guest_log prog | grep '^status: ' | cut -d' ' -f2 | xargs)"
guest_log prog > said
while read -r line; do
    grep -q -E -- "$line" said || fail "no line '$line'"
done << LINES
^trial (forks): right$
^one two$
^hello there$
^sum 42 of me$
^a pipe$
^/etc/noise has $(sha256sum "$root/etc/noise" | cut -d' ' -f1)$
^false is 1$
^greeting: hello there$
^8192$
No such file or directory
^exec: /etc/no-program: it is no ELF64 file
^exec: /nothing: ENOENT
^trial pointers: right$
^trial memory: right$
^trial registers: right$
^trial hog: right$
t\[[0-9]+\]: ended at 0x[0-9a-f]+: cannot write 0x[0-9a-f]+: no memory is left
t\[[0-9]+\]: ended at 0x[0-9a-f]+: cannot write 0x0 \(null pointer\)
ended at 0x[0-9a-f]+: cannot read 0xffffffff80000000
ended at 0x[0-9a-f]+: cannot write 0xffff880000000000
ended at 0x[0-9a-f]+: cannot write 0x4[0-9a-f]+$
ended at 0x[0-9a-f]+: cannot execute 0x7f[0-9a-f]+
ended at 0x[0-9a-f]+: general protection fault
ended at 0x[0-9a-f]+: division by zero
ended at 0x[0-9a-f]+: invalid opcode
ended at 0x[0-9a-f]+: breakpoint
ended at 0x[0-9a-f]+: debug exception
^trapped$
^waited for 7$
^killed: 143$
^signals handlers: right$
^signals faults: right$
^signals calls: right$
^signals lies: right$
s\[[0-9]+\]: the frame that it returns from a signal by: its code segment is not a program's
s\[[0-9]+\]: the frame that it returns from a signal by: its stack segment is not a program's
s\[[0-9]+\]: the frame that it returns from a signal by: it goes on at no user address
s\[[0-9]+\]: the frame that it returns from a signal by: its MXCSR has bits
s\[[0-9]+\]: the frame that it returns from a signal by: it is not there
s\[[0-9]+\]: ended: its handler of signal 10 cannot be called
LINES
same "free memory, page tables and bytes of slabs, before and after" "$(memory | sed -n 1p)" "$(memory | tail -n 1)"

# What the program takes for right is so on Linux: dom0's.
for what in handlers faults calls; do
    same "signals $what in dom0" "signals $what: right" "$(/usr/lib/duet/programs/signals $what)"
done

# ^C ends what spins.
new_log prog
type_to prog "exec /t spin"
wait_line prog '^trial: spins' > /dev/null
interrupt prog
type_to prog status
wait_line prog '^status: 130' > /dev/null

# A shell that counts is saved, and goes on where it is restored.
counts_on prog "exec /bin/sh /etc/count"
interrupt prog
type_to prog status
wait_line prog '^status: 130' > /dev/null
