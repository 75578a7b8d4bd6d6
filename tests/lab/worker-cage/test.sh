# Each living worker is in its cage: a uid of its guest's own, no capability and no way to get one, a system-call
# filter, an empty root directory, no new descriptors; and the worker of an image cannot make it longer.
# timeout: 240
. ./lib.sh

UNITS+=(duet-net.service)
guest worker-cage "disk = [ $(disk "$(image disk.img 4M)") ]" "vif = [ 'bridge=xenbr0' ]"
domid=$(xl domid worker-cage)
wait_store "/local/domain/0/backend/vbd/$domid/51712/state" '^4$' 60
wait_store "/local/domain/0/backend/vif/$domid/0/state" '^4$' 60

# status PID KEY: a line of its status, without the key.
status() {
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | xargs
}

# limit PID NAME: its hard limit.
limit() {
    sed -n "s/^$2  *[^ ]*  *\([^ ]*\).*/\1/p" "/proc/$1/limits"
}

uid=$((0x70000000 + domid))
for program in duet-block-worker duet-net-worker; do
    pid=$(pgrep -x -U $uid ${program:0:15}) || fail "there is no $program of the guest"
    same "$program: uids" "$uid $uid $uid $uid" "$(status "$pid" Uid)"
    same "$program: gids" "$uid $uid $uid $uid" "$(status "$pid" Gid)"
    same "$program: groups" "" "$(status "$pid" Groups)"
    for set in CapInh CapPrm CapEff CapBnd CapAmb; do
        same "$program: $set" 0000000000000000 "$(status "$pid" $set)"
    done
    same "$program: no new privileges" 1 "$(status "$pid" NoNewPrivs)"
    same "$program: system-call filter" 2 "$(status "$pid" Seccomp)"
    same "$program: root directory" /run/duet/empty "$(readlink "/proc/$pid/root")"
    same "$program: what is in it" "" "$(ls -A "/proc/$pid/root/")"
    same "$program: new descriptors" 0 "$(limit "$pid" 'Max open files')"
    same "$program: core dumps" 0 "$(limit "$pid" 'Max core file size')"
    [ $program != duet-block-worker ] || same "$program: file size" 4194304 "$(limit "$pid" 'Max file size')"
done
