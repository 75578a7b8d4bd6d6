#!/bin/bash
# Our guest ends as it is told to. `xl reboot` makes it start again and `xl shutdown` powers it off; both are
# acknowledged in control/shutdown, and the data on its disk is kept. Its commands reboot and poweroff do the same. A
# word that it does not know is named in its log, and nothing else happens.
# timeout: 240
. ./lib.sh

image=$(image data.img 8M)
guest ender "disk = [ $(disk "$image") ]" "on_poweroff = 'destroy'" "on_reboot = 'restart'" \
    "extra = 'run=\"dd if=pattern:3 of=xvda bs=64k count=4\"'"
wait_prompt ender
id=$(xl domid ender)
control=/local/domain/$id/control
same "feature-poweroff" 1 "$(xenstore-read "$control/feature-poweroff")"
same "feature-reboot" 1 "$(xenstore-read "$control/feature-reboot")"

say "a word nobody knows"
xenstore-write "$control/shutdown" nonsense
wait_line ender 'control/shutdown: "nonsense" is not known here' > /dev/null
same "the word, once read" "" "$(xenstore-read "$control/shutdown")"

say "reboot"
new_log ender
xl reboot ender
wait_line ender 'Rebooting\.' > /dev/null
wait_prompt ender 90
[ "$(xl domid ender)" != "$id" ] || fail "the domain is still the old one"

say "power off"
xl shutdown ender
wait_end ender
same "the pattern's first record" "00000003 0000000000000000 duet." "$(head -n 1 "$image")"

say "the same by commands"
guest typed-reboot "on_reboot = 'destroy'" "on_poweroff = 'preserve'" "extra = 'run=\"reboot\"'"
wait_end typed-reboot
guest typed-poweroff "on_reboot = 'preserve'" "on_poweroff = 'destroy'" "extra = 'run=\"poweroff; echo no\"'"
wait_end typed-poweroff
! guest_log typed-poweroff | grep '^no$' > /dev/null || fail "a command ran after poweroff"
