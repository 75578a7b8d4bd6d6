# Unmodified static Linux programs run on our kernel.
# timeout: 300
. ./lib.sh

root=$WORK/root
mkdir -p "$root/bin" "$root/etc" "$root/dev"
cp /bin/busybox "$root/bin/"
ln -s busybox "$root/bin/sh"
echo hello there > "$root/etc/greeting"
head -c 300000 /dev/urandom > "$root/etc/noise"
(cd "$root" && find . | cpio -o -H newc --quiet) > initramfs

guest prog "vcpus = 2" "memory = 64" "ramdisk = '$PWD/initramfs'" "extra = 'run=\"mem; exec /bin/busybox echo one two; exec /bin/busybox cat /etc/greeting; exec /bin/busybox sha256sum /etc/noise; exec /bin/sh -c \\\"echo \$((6*7))\\\"; mem\"'"
wait_prompt prog 60
guest_log prog
