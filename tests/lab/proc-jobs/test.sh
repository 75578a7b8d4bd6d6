# Job control and the terminal's settings: busybox's shell on our guest's console stops, continues and kills jobs as it
# does on Linux, its vi edits, and who uses the console last leaves it as it was. Programs find process groups, stops and
# the terminal as on dom0's Linux. A stopped program is stopped where its domain is restored.
# timeout: 300
. ./lib.sh

root=$WORK/root
mkdir -p "$root/bin" "$root/etc" "$root/dev"
cp /bin/busybox "$root/bin/"
cp /usr/lib/duet/programs/jobs "$root/j"
for applet in sh sleep vi stty cat; do
    ln -s busybox "$root/bin/$applet"
done
printf 'first line\nsecond line\n' > "$root/etc/text"
(cd "$root" && find . | cpio -o -H newc --quiet) > initramfs

# press NAME BYTES...: keys on the guest's console, as printf writes them.
press() {
    local tty
    tty=$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty")
    {
        stty raw -echo <&"$typing"
        # shellcheck disable=SC2059
        printf "$2" >&"$typing"
    } {typing}<> "$tty"
    exec {typing}>&-
}

# says KEYS REGEX [SEPARATOR]: a line that the guest shows after them; the separator ends one, too.
says() {
    new_log jobs
    press jobs "$1"
    follow jobs "${3:-\\r}" "$2" 60 > said
}

# prompts KEYS: the guest's shell is ready for the next line after them.
prompts() {
    says "$1" '^/ $' '#'
}

guest jobs "vcpus = 2" "memory = 32" "ramdisk = '$PWD/initramfs'" \
    "extra = 'run=\"exec /j groups; exec /j stops; exec /j terminal\"'"
wait_prompt jobs 120
same "how the programs ended" "0 0 0" "$(guest_log jobs | grep '^status: ' | cut -d' ' -f2 | xargs)"

# What the program takes for right is so on Linux: dom0's.
for what in groups stops; do
    same "jobs $what in dom0" "jobs $what: right" "$(timeout 60 /usr/lib/duet/programs/jobs $what)"
done
same "jobs terminal in dom0" "jobs terminal: right" \
    "$(timeout 60 python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' /usr/lib/duet/programs/jobs terminal < /dev/null | tr -d '\r')"

# The shell's jobs.
prompts 'exec /bin/sh\r'
! guest_log jobs | grep 'job control' || fail "the shell has no job control"
says 'stty -a; echo over\r' '^over'
guest_log jobs | grep -E 'baud|=|icanon|opost' > stty.before
grep -q ' icanon' stty.before || fail "stty: $(cat stty.before)"
prompts 'sleep 1000 &\r'
says 'jobs\r' '^\[1\]\+  Running +sleep 1000'
says 'kill %%1\rwait\r' '^\[1\]\+  Terminated +sleep 1000'
says 'sh -c "echo begun; exec sleep 1000"\r' '^begun'
says '\032' '\[1\]\+  Stopped +sh -c'
says 'bg\r' '^\[1\] sh -c'
says 'jobs\r' '^\[1\]\+  Running +sh -c'
says 'fg\r' '^sh -c'
says '\032' '\[1\]\+  Stopped +sh -c'
says 'cat & sleep 1; jobs\r' '^\[2\].  Stopped \(tty input\) +cat'
says 'kill %%2; fg %%1\r' '^sh -c'
prompts '\003'
says 'echo "it ended with $?"\r' '^it ended with 130'
says 'sh -c "echo begun; exec sleep 1000"\r' '^begun'
prompts '\034'
says 'echo "it ended with $?"\r' '^it ended with 131'

# What is stopped is so where the domain is restored, and goes on there.
says 'sh -c "echo begun; exec sleep 1000"\r' '^begun'
says '\032' '\[1\]\+  Stopped +sh -c'
save_restore jobs
says 'jobs\r' '^\[1\]\+  Stopped +sh -c'
says 'kill %%1; kill -CONT %%1; wait; echo ended\r' '^ended'

# An editor: it moves, changes, shows (^L), and leaves the terminal as it was. A key is a key.
says 'vi /etc/text\r' '^.2;1Hsecond line' '\033'
says 'jA and more\033\014' '^.2;1Hsecond line and more' '\033'
says 'yyp:2\rdw\014' '^.2;1Hline and more' '\033'
says ':q!\recho "left $?"\r' '^left 0'
says '/j keys\r' '^jobs: keys'
says 'a\003\032\r\004q' '^key 4'
same "the keys" "97 3 26 13 4" "$(guest_log jobs | sed -n 's/^key //p' | xargs)"
says 'stty -a; echo over\r' '^over'
guest_log jobs | grep -E 'baud|=|icanon|opost' > stty.after
same "the settings, before and after" "$(cat stty.before)" "$(cat stty.after)"

# The shell ends with a job that is stopped, and with the terminal not as it was: the kernel's shell has it as before.
says 'sh -c "echo begun; exec sleep 1000"\r' '^begun'
says '\032' '\[1\]\+  Stopped +sh -c'
says 'stty raw -echo; exit\r' 'stopped jobs'
new_log jobs
press jobs 'exit\r'
wait_prompt jobs
says 'status\r' '^status: '
says 'exec /j terminal\r' '^jobs terminal: right'
