# What a block operation costs in instructions: a RAM disk of dom0, for a Linux guest through duet-blockd and through
# xen-blkback, for our guest through both, and for dom0 itself. See docs/bench.md.
# Each row is run twice, with few operations and with many: the cost is taken from the difference.
. ./lib.sh

MARK=/usr/lib/duet-lab/mark
DISK=/dev/ram0
SIZE=48 # MiB of the disk that are used

# The rows of fio: name, few operations, many, and what makes it.
FIO_ROWS=(
    "read-4k-1 200 1400 --rw=randread --bs=4k --ioengine=psync"
    "write-4k-1 200 1400 --rw=randwrite --bs=4k --ioengine=psync"
    "read-4k-32 400 4000 --rw=randread --bs=4k --ioengine=libaio --iodepth=32"
    "write-4k-32 400 4000 --rw=randwrite --bs=4k --ioengine=libaio --iodepth=32"
    "read-1m 16 112 --rw=read --bs=1M --ioengine=psync"
    "write-1m 16 112 --rw=write --bs=1M --ioengine=psync"
)
# Those of our guest's dd, which has four requests under way.
DUET_ROWS=(
    "write-4k-4 500 4500 dd if=zero of=xvda bs=4096"
    "read-4k-4 500 4500 dd if=xvda verify=zero bs=4096"
    "write-128k-4 40 360 dd if=zero of=xvda bs=131072"
    "read-128k-4 40 360 dd if=xvda verify=zero bs=131072"
)
# The tasks of dom0 that work for an operation.
declare -A TASKS=([duet]='duet-block|iou-' [blkback]='blkback' [dom0]='fio')

cleanup() {
    modprobe -q -r xen-blkback || true
    systemctl start duet-block.service
    modprobe -q -r brd || true
}

# fio_line ROW-OPTION...: a command line of fio. What is read is the same in each run.
fio_line() {
    echo "fio --name=r --direct=1 --size=${SIZE}M --norandommap --randseed=7 --disk_util=0 --thread $*"
}

# window ROW OPERATIONS TASKS COMMAND...: run it between two marks.
window() {
    local row=$1 ops=$2 tasks=$3
    shift 3
    $MARK "note begin $row ops=$ops tasks=$tasks"
    "$@"
    $MARK "note end $row"
}

# in_dom0 COMMAND
in_dom0() {
    timeout 300 sh -c "$1" > fio.out 2>&1 || fail "$1: $(cat fio.out)"
}

# in_guest NAME COMMAND: in the small Linux guest's shell.
in_guest() {
    new_log "$1"
    type_to "$1" "$2 > /tmp/out 2>&1; echo status: \$?"
    same "$2" "status: 0" "$(wait_line "$1" '^status: [0-9]+$' 300)"
}

# in_ours NAME COMMAND: dd in our guest.
in_ours() {
    local line
    new_log "$1"
    type_to "$1" "$2"
    line=$(wait_line "$1" '^[0-9]+ bytes (copied|verified) in |^dd: |^usage' 300)
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

# fio_rows WHO BACKEND COMMAND...: all rows of fio; the command gets the line to run.
fio_rows() {
    local who=$1 backend=$2 row name few many options ops
    shift 2
    for row in "${FIO_ROWS[@]}"; do
        read -r name few many options <<< "$row"
        for ops in "$few" "$many"; do
            window "$who/$backend/$name" "$ops" "${TASKS[$backend]}" \
                "$@" "$(fio_line "$options") --filename=$FIO_DISK --number_ios=$ops --io_size=4G"
        done
    done
}

# linux BACKEND: the Linux guest.
linux() {
    create "exact-$1" "kernel = '$LINUX_KERNEL'" "ramdisk = '$initrd'" "memory = 1000" "disk = [ $(disk_for "$1") ]" \
        "extra = 'console=hvc0 quiet nowatchdog mitigations=off tsc=reliable'"
    wait_line "exact-$1" '^linux: ready' 200 > /dev/null
    FIO_DISK=/dev/xvda fio_rows linux "$1" in_guest "exact-$1"
    xl destroy "exact-$1"
    wait_end "exact-$1"
}

# ours BACKEND: our guest.
ours() {
    local row name few many line ops
    guest "exact-duet-$1" "disk = [ $(disk_for "$1") ]"
    wait_prompt "exact-duet-$1"
    for row in "${DUET_ROWS[@]}"; do
        read -r name few many line <<< "$row"
        for ops in "$few" "$many"; do
            window "ours/$1/$name" "$ops" "${TASKS[$1]}" in_ours "exact-duet-$1" "$line count=$ops"
        done
    done
    xl destroy "exact-duet-$1"
    wait_end "exact-duet-$1"
}

initrd=$(linux_initrd fio)
modprobe brd rd_nr=1 rd_size=65536
dd if=/dev/zero of=$DISK bs=1M count=64 oflag=direct status=none
FIO_DISK=$DISK fio_rows fio dom0 in_dom0
ours duet
linux duet
systemctl stop duet-block.service
modprobe xen-blkback
ours blkback
linux blkback
