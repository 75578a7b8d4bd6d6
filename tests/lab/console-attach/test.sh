# Stock `xl console` on our daemon: output is seen, input reaches the guest, whoever attaches later gets what was
# printed before, and nothing is left when the guest is destroyed.
# timeout: 300
. ./lib.sh

linux_guest con-attach "extra = 'console=hvc0'"
wait_line con-attach 'linux: ready' 150 > /dev/null

say "who attaches late sees what was printed before"
console_attach con-attach
console_expect 'linux: ready'

say "input reaches the guest, its answer the terminal and the log"
console_type "echo answer-\$((6 * 7))"
console_expect '^answer-42'
wait_line con-attach '^answer-42' > /dev/null
console_detach

say "a second reader gets the history once more, and can type"
console_attach con-attach
console_expect '^answer-42'
console_type "echo second-\$((7 * 8))"
console_expect '^second-56'

say "a line of input almost as long as the ring arrives whole"
long=$(printf 'x%.0s' {1..900})
console_type "echo $long | wc -c"
console_expect '^901'

say "xl console ends when its guest is destroyed"
timeout 60 xl destroy con-attach
wait "$client" || true

say "the daemon has let go of everything of it"
wait_journal duet-console.service 'let go of the console of "con-attach"'
# The worker has them; it is the child of the unit's main process.
pid=$(pgrep -P "$(systemctl show -p MainPID --value duet-console.service)")
same "terminals held by the worker" 0 "$(find "/proc/$pid/fd" -lname '*ptmx' | wc -l)"
same "pages of guests mapped by the worker" 0 "$(grep -c '/dev/xen/gntdev' "/proc/$pid/maps" || true)"
