# The in-kernel debugger, driven by its script (kdi=) and by somebody at the console: what it shows after
# a panic, breakpoints and single steps, writing to text, a vCPU that only an NMI can stop, sysrq, paging,
# editing and history, going on afterwards.
# timeout: 600
. ./lib.sh

# expect NAME LAST REGEX...: wait for a line that matches LAST; by then there are lines for the others.
expect() {
    local name=$1 last=$2 regex
    shift 2
    wait_line "$name" "$last" > /dev/null
    for regex in "$@"; do
        guest_log "$name" | grep -a -E -- "$regex" > /dev/null || fail "no line '$regex' on the console of $name"
    done
}

# type_keys TEXT: type on the console that was attached last; \r is Enter.
type_keys() {
    printf '%b' "$1" >&"$CONSOLE"
}

say "after a panic"
guest kdi-panic "vcpus = 2" "on_crash = 'destroy'" \
    "extra = 'crashtest=null kdi=\"regs; bt; threads; cpus; evtchn; grants; timers; devices; mem; locks; pte null_pointer; pte 0; x 8; x null_pointer 4 b; sym null_pointer+1; pfn2mfn 1; dmesg; c; ring nothing; bogus; crash\"'"
expect kdi-panic 'bogus: no such command' 'panic: page fault: cannot read .*null pointer' 'kdi: panic: vCPU [01]' \
    '^kdi> regs' 'rip [0-9a-f]{16}  null_pointer' \
    '^ ?[0-9]+  [0-9a-f]{16}  kernel_main' \
    'idle  +idle/0 ' 'blocked.* reaper .*, for "reaper"' \
    '^  [01] .* in the debugger, "main"' '^  [01] .* stopped( by NMI)?, ' \
    '^ +[0-9]+ +0 .* console' '^ +[0-9]+ +1 .* debugger' \
    'entries free, .* frames' '^vCPU 1: Xen' '^pages: [0-9]+,' '^no deadlock' \
    '^L4\[511\] .* mfn 0x[0-9a-f]+ pfn 0x[0-9a-f]+ present' '^L1\[.* present user accessed' \
    '^L4\[  0\] at .* not present' '^0000000000000008  cannot be read' 'null_pointer\+0x1$' \
    'pfn 0x1: mfn 0x[0-9a-f]+' 'after a panic nothing goes on' 'there is no device "nothing"'
wait_end kdi-panic

say "breakpoints, steps, continue; the other vCPU goes on, too"
guest kdi-break "vcpus = 2" \
    "extra = 'crashtest=break kdi=\"b crashtest_target; bl; b kdi_trap; c; bt; s 3; s 200; c; w crashtest_target-1 0x5a b; x crashtest_target-1 1 b; bc all; c\"'"
expect kdi-break 'crashtest: went on after the breakpoints' 'kdi: breakpoint\(\): vCPU [01]' 'breakpoint 0 at crashtest_target$' \
    'kdi_trap is needed to handle breakpoints' 'kdi: breakpoint 0: vCPU [01]' \
    '^ 0  [0-9a-f]{16}  crashtest_target$' '^ 1  [0-9a-f]{16}  break_rounds' \
    'kdi: step: vCPU [01]' '^[0-9a-f]{16}  upcalls_save' '^[0-9a-f]{16} +5a  +Z' \
    'crashtest: round 1, upcalls were open' 'crashtest: round 4, upcalls were open'
attach kdi-break
type_keys 'kdi cpus\r'
expect kdi-break '^  [01] .* running, "shell"'
xl sysrq kdi-break o
wait_end kdi-break

say "a vCPU that takes no events is stopped by an NMI, its place shown"
guest kdi-stuck "vcpus = 2" "extra = 'crashtest=stuck kdi=\"cpus; bt stuck; threads; poweroff\"'"
expect kdi-stuck '^ 0  [0-9a-f]{16}  spin_masked' 'crashtest: vCPU [01] spins with upcalls masked' \
    'stopped by NMI, "stuck"'
wait_end kdi-stuck

say "sysrq: letters that report, then the debugger, by hand"
guest kdi-sysrq "extra = 'kdi'" "disk = [ $(disk "$(image a.img 8M)") ]"
wait_prompt kdi-sysrq
wait_line kdi-sysrq 'xvda: [0-9]+ MiB' > /dev/null
# letter LETTER REGEX: one request at a time, for the store holds one.
letter() {
    xl sysrq kdi-sysrq "$1"
    wait_line kdi-sysrq "$2" > /dev/null
}
letter h 'sysrq c: crash'
letter t 'no deadlock'
letter m 'free blocks by order'
letter e '[0-9]+ +8 +[0-9]+ +debugger'
letter s 'sysrq: disks are flushed'
letter z "sysrq 'z' is not known here"
guest_log kdi-sysrq | grep 'blocked.*reaper' > /dev/null || fail "sysrq t does not show the threads"
xl sysrq kdi-sysrq d
wait_line kdi-sysrq 'kdi: sysrq d' > /dev/null
say "paging: a page, then q; editing, history, ^C; continue"
attach kdi-sysrq
type_keys 'ring 51712\r'
wait_line kdi-sysrq 'ours +req_prod_pvt [0-9]+  rsp_cons [0-9]+' > /dev/null
type_keys 'dmesg\r'
follow kdi-sysrq '-' '^more$' 30 > /dev/null
type_keys 'q'
wait_line kdi-sysrq '\(stopped\)' > /dev/null
type_keys 'sym kdi_tryp\x7f\x7fap\r'
wait_line kdi-sysrq '^[0-9a-f]{16}  kdi_trap$' > /dev/null
type_keys 'x 1\x03pfn2mfn 1\r'
wait_line kdi-sysrq '^pfn 0x1: mfn' > /dev/null
new_log kdi-sysrq
type_keys '\x1b[A\x1b[A\r'
wait_line kdi-sysrq '^[0-9a-f]{16}  kdi_trap$' > /dev/null
type_keys 'c\r'
type_keys 'echo-is-no-command\r'
wait_line kdi-sysrq 'echo-is-no-command: no such command' > /dev/null

say "the shell's kdi: live, and the debugger itself"
type_keys 'kdi locks\r'
wait_line kdi-sysrq '^nobody waits for a lock' > /dev/null
type_keys 'kdi\r'
wait_line kdi-sysrq 'kdi: called from the shell' > /dev/null
type_keys 'c\r'
type_keys 'echo shell again\r'
wait_line kdi-sysrq '^shell again' > /dev/null
say "an NMI from outside, twice: the debugger, and on"
for _ in 1 2; do
    new_log kdi-sysrq
    xl trigger kdi-sysrq nmi
    wait_line kdi-sysrq 'kdi: NMI: vCPU 0' > /dev/null
    type_keys 'c\r'
    type_keys 'echo went on\r'
    wait_line kdi-sysrq '^went on' > /dev/null
done
xl sysrq kdi-sysrq c
wait_line kdi-sysrq 'panic: sysrq c: a crash was asked for' > /dev/null
wait_line kdi-sysrq 'kdi: panic' > /dev/null
type_keys 'poweroff\r'
wait_end kdi-sysrq
