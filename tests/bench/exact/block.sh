# What a block operation costs in instructions: a RAM disk of dom0, for a Linux guest through duet-blockd and through
# xen-blkback (part `linux`), for our guest through both (part `ours`), and for dom0 itself (part `native`). Without an argument all
# parts. See docs/bench.md.
. ./lib.sh

PARTS=${*:-native linux ours}

MARK=/usr/lib/duet-lab/mark
DISK=/dev/ram0
OPS=/usr/lib/duet/bench/block-ops

ROUNDS=5 # of these, of which the median is taken
# What block-ops does in Linux: row, and what it does, how many bytes, how many under way, how often.
LINUX_ROWS=(
    "read-4k-1 read 4096 1 400"
    "write-4k-1 write 4096 1 400"
    "read-4k-32 read 4096 32 1600"
    "write-4k-32 write 4096 32 1600"
    "read-1m-1 read 1048576 1 16"
    "write-1m-1 write 1048576 1 16"
)
# Our guest's dd, which has four requests under way: row, few operations and many, of whose difference the cost is taken,
# since typing the command is in them, and the command.
DUET_ROWS=(
    "write-4k-4 500 4500 dd if=zero of=xvda bs=4096"
    "read-4k-4 500 4500 dd if=xvda verify=zero bs=4096"
    "write-128k-4 50 450 dd if=zero of=xvda bs=131072"
    "read-128k-4 50 450 dd if=xvda verify=zero bs=131072"
)
# The tasks of dom0 that work for an operation. blkback's thread is called after the guest's number and the device.
declare -A TASKS=([duet]='duet-block|iou-' [blkback]='[0-9]+[.]xvda' [dom0]='block-ops')

cleanup() {
    cp /proc/kallsyms /run/duet-lab-kallsyms # for --profile: with what is unloaded now
    modprobe -q -r xen-blkback || true
    systemctl start duet-block.service
    modprobe -q -r brd || true
}

# in_ours NAME COMMAND: dd in our guest.
in_ours() {
    local line
    new_log "$1"
    type_to "$1" "$2"
    line=$(wait_line "$1" '[0-9]+ bytes (copied|verified) in |dd: |usage' 300)
    [[ $line =~ bytes\ (copied|verified) ]] || fail "$2: $line"
}

# disk_for BACKEND: xl's specification of the disk.
disk_for() {
    if [ "$1" = blkback ]; then
        echo "'format=raw,backendtype=phy,vdev=xvda,access=rw,target=$DISK'"
    else
        disk "$DISK"
    fi
}

# linux_rows DEVICE WHO BACKEND [TIMES]: the command lines, each with its own mark for the ruler; so many times as often.
linux_rows() {
    local name what bytes depth ops row round
    for ((round = 1; round <= ROUNDS; round++)); do
        for row in "${LINUX_ROWS[@]}"; do
            read -r name what bytes depth ops <<< "$row"
            echo "block-ops $1 $what $bytes $depth $((ops * ${4:-1})) $2/$3/$name '${TASKS[$3]}'"
        done
    done
}

# linux BACKEND: the Linux guest. It has the program and its script in its initrd.
linux() {
    local name=exact-$1 root=$WORK/root-$1
    mkdir -p "$root/bin"
    cp $OPS "$root/bin/"
    { echo "set -e"; linux_rows /dev/xvda linux "$1"; } > "$root/rows"
    create "$name" "kernel = '$LINUX_KERNEL'" "ramdisk = '$(initrd_with "$root")'" "memory = 200" "disk = [ $(disk_for "$1") ]" \
        "extra = 'console=hvc0 quiet nowatchdog mitigations=off tsc=reliable run=\"sh /rows\"'"
    same "status of the guest's commands" "status: 0" "$(wait_line "$name" '^status: ' 600)"
    wait_end "$name"
}

# ours BACKEND: our guest.
ours() {
    local row name few many line ops round
    guest "exact-duet-$1" "disk = [ $(disk_for "$1") ]"
    wait_prompt "exact-duet-$1"
    for row in "${DUET_ROWS[@]}"; do
        read -r name few many line <<< "$row"
        for ((round = 1; round <= ROUNDS; round++)); do
            for ops in "$few" "$many"; do
                $MARK "note begin ours/$1/$name ops=$ops tasks=${TASKS[$1]}"
                in_ours "exact-duet-$1" "$line count=$ops"
                $MARK "note end ours/$1/$name"
            done
        done
    done
    xl destroy "exact-duet-$1"
    wait_end "exact-duet-$1"
}

# zero_disk: all bytes are there, and none is allocated later.
zero_disk() {
    dd if=/dev/zero of=$DISK bs=1M count=64 oflag=direct status=none
}

# native: dom0 itself. An operation costs it a tenth of what it costs a guest.
native() {
    linux_rows $DISK native dom0 10 | PATH=${OPS%/*}:$PATH timeout 300 sh -e
}

# guests BACKEND: the guests that are asked for.
guests() {
    local part
    for part in linux ours; do
        if [[ " $PARTS " = *" $part "* ]]; then
            zero_disk
            "$part" "$1"
        fi
    done
}

modprobe brd rd_nr=1 rd_size=65536
zero_disk
[[ " $PARTS " != *" native "* ]] || native
guests duet
systemctl stop duet-block.service
modprobe xen-blkback
guests blkback
