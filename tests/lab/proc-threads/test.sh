# Threads of a static program, on four vCPUs of our kernel: what glibc makes of clone() and futex() does what it does on
# Linux. What one thread unmaps, protects or copies is so for those on other vCPUs when its call has come back; what ends
# one process ends all of its threads, whatever they sleep in; and all memory comes back.
# timeout: 200
. ./lib.sh

root=$WORK/root
mkdir -p "$root/dev" "$root/bin"
cp /bin/busybox "$root/bin/sh" # for system()
cp /usr/lib/duet/programs/threads "$root/t"
(cd "$root" && find . | cpio -o -H newc --quiet) > initramfs

kinds="basics locks signals processes memory lies"
commands="exec /t hog; mem; " # first, since the kernel keeps tables for the stacks of so many
expected="0 0 "
for what in $kinds; do
    commands+="exec /t $what; "
    expected+="0 "
done
commands+="mem"
expected+="0"

# memory: what is in use, at each `mem`: a line. A page of a slab with nothing in it counts as free.
memory() {
    guest_log prog | awk '$1 == "free" { free = $2 } $1 == "tables" { tables = $2 } $1 == "slabs" { print free + $2, tables, $4 }'
}

guest prog "vcpus = 4" "memory = 64" "ramdisk = '$PWD/initramfs'" "extra = 'run=\"$commands\"'"
wait_prompt prog 150
same "how the programs ended" "$expected" "$(guest_log prog | grep '^status: ' | cut -d' ' -f2 | xargs)"
for what in $kinds; do
    guest_log prog | grep "^threads $what: right" > /dev/null || fail "threads $what: $(guest_log prog | grep '^threads: ')"
done
same "free memory with slabs, page tables and bytes of slabs, before and after" "$(memory | sed -n 1p)" "$(memory | tail -n 1)"

# The same on the kernel that checks the order of its locks.
GUEST_KERNEL=/usr/lib/duet/duet-guest-debug.gz
guest checked "vcpus = 4" "memory = 64" "ramdisk = '$PWD/initramfs'" \
    "extra = 'run=\"$(for what in $kinds; do echo -n "exec /t $what; "; done)halt\"'"
wait_end checked 150
for what in $kinds; do
    guest_log checked | grep "^threads $what: right" > /dev/null || fail "threads $what, checked: $(guest_log checked | tail -n 20)"
done

# What the program takes for right is so on Linux: dom0's.
for what in basics locks signals processes memory; do
    same "threads $what in dom0" "threads $what: right" "$(/usr/lib/duet/programs/threads $what)"
done

# Threads that wait for one another, and for times, go on where their domain is restored.
counts_on prog "exec /t count"
wait_line prog '^count [0-9]*[05]$' > /dev/null
