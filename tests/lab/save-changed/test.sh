# A guest is saved, somebody writes to its image, and it is restored: its memory has another disk. Nobody refuses that,
# but the journal says so; and says nothing when nobody has written.
# timeout: 180
. ./lib.sh

image=$(image disk.img 4M)
guest save-changed "memory = 16" "disk = [ $(disk "$image") ]" "extra = 'run=\"journal start xvda\"'"
wait_prompt save-changed
journal_grows save-changed
save_restore save-changed > /dev/null
journal_grows save-changed
! journalctl -q --since "@$BEGAN" --unit duet-block.service | grep 'had let go of it' || fail "it was warned of a change that there was not"
type_to save-changed 'journal stop'
wait_line save-changed '^journal: stopped: ' 120 > /dev/null

xl save save-changed "$WORK/save-changed.save" > xl.out 2>&1 || fail "xl save: $(cat xl.out)"
touch "$image"
xl restore -e "$WORK/save-changed.save" > xl.out 2>&1 || fail "xl restore: $(cat xl.out)"
wait_journal duet-block.service "vbd $(xl domid save-changed)/51712: image $image was written [0-9]+ ms after this virtual machine had let go of it"
