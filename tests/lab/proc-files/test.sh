# Programs write files on our kernel: the tree that begins as the ramdisk's archive. What a program of ours tries is what Linux'
# tmpfs does; busybox from Debian's package makes, copies, moves, packs, edits, finds and sorts files, and looks at processes and
# memory by /proc. Who fills all there is gets errors, and the kernel goes on; all memory comes back. Files survive save and
# restore.
# timeout: 300
. ./lib.sh

root=$WORK/root
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/dev" "$root/proc" # as in most roots
cp /bin/busybox "$root/bin/"
cp /usr/lib/duet/programs/files "$root/f"
ln -s busybox "$root/bin/sh"
echo hello there > "$root/etc/greeting"
head -c 300001 /dev/urandom > "$root/etc/noise"
cat > "$root/etc/script" << 'SCRIPT'
set -e
for applet in $(busybox --list); do
    case $applet in
    mkdir | cp | mv | rm | rmdir | tar | sed | find | sort | ln | ps | free | df | cat | ls | top | uptime | mount | touch | \
        chmod | sha256sum | head | tail | wc | dd | stat | gzip | gunzip | cmp | du | readlink | grep) ln -s busybox "/bin/$applet" ;;
    esac
done
cd /tmp
mkdir -p one/two/three
cp /etc/noise one/two/
cp -r one copy
cmp one/two/noise copy/two/noise && echo "copied"
mv copy/two/noise copy/moved && ls copy/two
tar -czf all.tar.gz one copy && rm -r one copy && tar -xzf all.tar.gz
cmp /etc/noise copy/moved && echo "unpacked"
printf 'c\na\nb\n' > list
sort list > sorted && sed -i s/b/B/ sorted && echo "sorted $(cat sorted | tr '\n' ' ')"
echo more >> list && wc -l < list
ln list hard && ln -s list soft && stat -c '%h %s' soft hard && cat soft | tail -n 1
find . -type f | sort > found && echo "found $(cat found | wc -l)"
chmod 640 list && touch -d '2001-02-03 04:05:06' list && stat -c '%a %Y' list
echo changed > /etc/greeting && cat /etc/greeting
dd if=/dev/zero of=part bs=1000 count=3 seek=2 conv=notrunc 2> /dev/null && stat -c %s part
cd /tmp && rm -r one copy found list sorted hard soft part all.tar.gz && ls -A /tmp | wc -l
ps | grep '/bin/sh /etc/script' > /dev/null && echo "seen by ps"
free | grep '^Mem: *[1-9]' > /dev/null && echo "seen by free"
df / | grep '^tmpfs .* /$' > /dev/null && echo "seen by df"
top -b -n 1 | grep '/bin/sh /etc/script' > /dev/null && echo "seen by top"
uptime | grep 'load average' > /dev/null && mount | grep 'tmpfs on / type tmpfs' > /dev/null && echo "seen by uptime and mount"
readlink /proc/self/exe
head -c 20000000 /dev/zero > /tmp/hog || echo "full: $?"
rm /tmp/hog && echo again > /tmp/after && cat /tmp/after && rm /tmp/after
cp -r /etc /tmp/kept
echo "kept $(sha256sum < /tmp/kept/noise)"
SCRIPT
(cd "$root" && find . | cpio -o -H newc --quiet) > initramfs

kinds="bytes names memory sockets proc full"
# memory: what is in use, at each `mem`: a line.
memory() {
    guest_log prog | awk '$1 == "free" || $1 == "tables" { printf "%s ", $2 } $1 == "slabs" { print $4 }'
}

commands="exec /f sockets /tmp; exec /f full /tmp; mem; " # first, since the kernel keeps what it needed for them
expected="0 0 0 "
for what in $kinds; do
    commands+="exec /f $what /tmp; "
    expected+="0 "
done
commands+="mem; exec /bin/sh /etc/script"
expected+="0 0"
guest prog "vcpus = 2" "memory = 32" "ramdisk = '$PWD/initramfs'" "extra = 'run=\"$commands\"'"
wait_prompt prog 200
for what in $kinds; do
    guest_log prog | grep "^files $what: right" > /dev/null ||
        fail "files $what: $(guest_log prog | grep '^files: ' || guest_log prog | tail -n 30)"
done
guest_log prog > said
while read -r line; do
    grep -q -E -- "$line" said || fail "no line '$line': $(tail -n 40 said)"
done << LINES
^copied$
^unpacked$
^sorted a B c $
^4$
^1 4$
^2 11$
^more$
^found 7$
^640 981173106$
^changed$
^5000$
^seen by ps$
^seen by free$
^seen by df$
^seen by top$
^seen by uptime and mount$
^/bin/busybox$
^head: standard output: 
^full: 1$
^again$
^kept $(sha256sum < "$root/etc/noise")$
LINES
same "how the programs ended" "$expected" "$(guest_log prog | grep '^status: ' | cut -d' ' -f2 | xargs)"
same "free memory, page tables and bytes of slabs, before and after" "$(memory | sed -n 1p)" "$(memory | tail -n 1)"

# What the program takes for right is so on Linux: dom0's.
mkdir /dev/shm/duet-files
for what in bytes names memory sockets proc; do
    same "files $what in dom0" "files $what: right" "$(/usr/lib/duet/programs/files $what /dev/shm/duet-files)"
done
rmdir /dev/shm/duet-files

# The order of locks: the kernel that checks it ends with a sentence where it is broken.
GUEST_KERNEL=/usr/lib/duet/duet-guest-debug.gz
commands=""
for what in $kinds; do
    commands+="exec /f $what /tmp; "
done
guest checks "vcpus = 2" "memory = 32" "ramdisk = '$PWD/initramfs'" "extra = 'run=\"$commands exec /bin/sh /etc/script\"'"
wait_prompt checks 200
same "programs that were right on the kernel that checks" 6 "$(guest_log checks | grep -c '^files .*: right')"
guest_log checks | grep '^kept ' > /dev/null || fail "the script did not come to its end: $(guest_log checks | tail -n 20)"

# What was written is there where the domain is restored.
save_restore prog
type_to prog "exec /bin/busybox sha256sum /tmp/kept/noise"
wait_line prog "^$(sha256sum < "$root/etc/noise" | cut -d' ' -f1)  /tmp/kept/noise" > /dev/null
