# The long form of what the suite tries of the network: 1 GiB each way between dom0 and a Linux guest, and between
# dom0 and our guest, with its sha256 equal; a file of 100 MiB from our guest's HTTP server; and 100,000 requests to
# that server by wrk and 1,000 by curl, none of which fails. REQUESTS and MIB change the numbers.
. ./lib.sh
REQUESTS=${REQUESTS:-100000} MIB=${MIB:-1024}
UNITS+=(duet-net.service)
NET=192.168.77
BULK='socat -u -b 262144' # a guest's busybox nc moves no more than 1 MiB a second
LINUX=$NET.50 DUET=$NET.60
HELPERS=()

cleanup() {
    [ ${#HELPERS[@]} -eq 0 ] || kill "${HELPERS[@]}" 2> /dev/null
}

# took SECONDS-BEFORE: how long it took since.
took() {
    echo "in $((SECONDS - $1)) s"
}

# sum_of FILE
sum_of() {
    local sum
    sum=$(sha256sum < "$1")
    echo "${sum%% *}"
}

mkdir -p "$WORK/tree"
head -c "${MIB}M" /dev/urandom > "$WORK/tree/large"
head -c 100M /dev/urandom > "$WORK/tree/100M"
echo hello > "$WORK/tree/hello"
sum=$(sum_of "$WORK/tree/large")

linux_guest net-soak-linux "ramdisk = '$(linux_initrd socat sha256sum)'" "vif = [ 'bridge=xenbr0' ]" "extra = 'console=hvc0 run=\"ip addr add $LINUX/24 dev eth0; \
ip link set eth0 up; nc -ll -p 99 -e sh\"'"
timeout 120 sh -c "until socat -u OPEN:/dev/null TCP:$LINUX:99; do :; done 2> /dev/null"
began=$SECONDS
in_linux $LINUX "$BULK TCP-LISTEN:5556 STDOUT | /usr/bin/sha256sum > /tmp/sum & echo" > /dev/null
$BULK "FILE:$WORK/tree/large" TCP:$LINUX:5556,retry=50,interval=0.2
# shellcheck disable=SC2016
same "what Linux received" "$sum  -" "$(in_linux $LINUX 'while [ ! -s /tmp/sum ]; do usleep 10000; done; cat /tmp/sum')"
echo "$MIB MiB to Linux: $(took $began)"
began=$SECONDS
$BULK "FILE:$WORK/tree/large" TCP-LISTEN:5557,bind=$NET.1,reuseaddr &
HELPERS+=($!)
in_linux $LINUX "$BULK TCP:$NET.1:5557,retry=50,interval=0.2 TCP-LISTEN:5558 > /dev/null & echo" > /dev/null
timeout 1800 $BULK TCP:$LINUX:5558,retry=50,interval=0.2 - | sha256sum > received
same "what came back from Linux" "$sum  -" "$(cat received)"
echo "$MIB MiB to Linux and back: $(took $began)"
xl destroy net-soak-linux

disk=$(image tree.img $((MIB + 300))M)
mke2fs -q -F -t ext4 -d "$WORK/tree" "$disk"
target=$(image target.img "${MIB}M")
busybox httpd -f -p 8080 -h "$WORK/tree" &
HELPERS+=($!)
guest net-soak "vcpus = 2" "memory = 128" "vif = [ 'bridge=xenbr0' ]" \
    "disk = [ $(disk "$disk" xvda r), $(disk "$target" xvdb) ]" "extra = 'ip=$DUET/24 run=\"httpd start xvda\"'"
wait_prompt net-soak
began=$SECONDS
new_log net-soak
type_to net-soak "wget http://$NET.1:8080/large -O xvdb"
line=$(wait_line net-soak "$((MIB << 20)) bytes, sha256 [0-9a-f]{64}" 3000)
same "what our guest fetched" "$sum" "${line##* }"
same "what is on its disk" "$sum" "$(sum_of "$target")"
echo "$MIB MiB to our guest's disk: $(took $began)"
for file in 100M large; do
    began=$SECONDS
    curl -sS --fail "http://$DUET/$file" | sha256sum > received
    same "$file from our guest" "$(sum_of "$WORK/tree/$file")  -" "$(cat received)"
    echo "$file from our guest's disk: $(took $began)"
done

began=$SECONDS answered=0
while [ $answered -lt "$REQUESTS" ]; do
    wrk -t 2 -c 16 -d 30 --timeout 30 http://$DUET/hello > wrk
    if grep -E 'Socket errors|Non-2xx' wrk; then
        fail "requests failed after $answered"
    fi
    answered=$((answered + $(awk '/requests in/ { print $1 }' wrk)))
    echo "$answered of $REQUESTS requests $(took $began)"
done
for ((n = 1; n <= 1000; n++)); do
    [ "$(curl -sS --fail http://$DUET/hello)" = hello ] || fail "curl's request $n failed"
done
new_log net-soak
type_to net-soak "httpd status"
line=$(wait_line net-soak '^httpd: xvda on port 80: ')
[[ $line == *" 0 errors, "* ]] || fail "$line"
echo "$line"
