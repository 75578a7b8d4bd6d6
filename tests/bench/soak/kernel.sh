# Ten minutes of `stress` in our kernel on four vCPUs with a disk, vCPUs and memory coming and going all the
# while: nothing fails, and no memory is missing afterwards. SECONDS_EACH changes the length.
. ./lib.sh
SECONDS_EACH=${SECONDS_EACH:-600}

disk=$(image soak.img 256M)
mkfs.ext4 -q "$disk"
guest soak "vcpus = 4" "memory = 256" "maxmem = 512" "disk = [ $(disk "$disk") ]" \
    "extra = 'run=\"stress $SECONDS_EACH; mem; halt\"'"
wait_line soak '^memory before' 120 > /dev/null

rounds=0
until guest_log soak | grep '^stress: ' > /dev/null; do
    xl vcpu-set --ignore-host soak $((1 + rounds % 4))
    xl mem-set soak $((64 + rounds % 4 * 128))
    rounds=$((rounds + 1))
    timeout 10 tail -c 0 -F "$CONSOLE_LOGS/soak.log" 2>/dev/null | grep -a -m 1 -E 'vCPUs online|balloon:' > /dev/null || true
done
guest_log soak | sed -n '/^memory before/,/^stress: /p'
echo "$rounds changes of vCPUs and memory"
guest_log soak | grep '^stress: passed' > /dev/null || fail "see above"
wait_end soak
