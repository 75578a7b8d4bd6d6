# What mapping 1, 64 and 4096 pages costs: our kernel's `mmubench` (hypercalls and time, gathered into
# multicalls and one call per page), and Linux's mmap with MAP_POPULATE in a PV guest of the same boot,
# which counts zeroing the pages as well.
. ./lib.sh

guest mmu-duet "memory = 64" "extra = 'run=\"mmubench; halt\"'"
wait_line mmu-duet '^status: ' 60 > /dev/null
echo "Duet guest: mapping one page N times in a fresh address space, tables included"
guest_log mmu-duet | sed -n '/^ *pages /,/^status: /{/^status: /d;p}'
wait_end mmu-duet

disk=$(image populate.img 2M)
dd if=/usr/lib/duet/bench/mmap-populate of="$disk" conv=notrunc status=none
guest_size=$(stat -c %s /usr/lib/duet/bench/mmap-populate)
linux_guest mmu-linux "disk = [ $(disk "$disk") ]" \
    "extra = 'console=hvc0 run=\"head -c $guest_size /dev/xvda > /populate; chmod 755 /populate; /populate\"'"
wait_line mmu-linux '^status: ' 120 > /dev/null
echo "Linux guest: mmap(MAP_POPULATE)"
guest_log mmu-linux | sed -n '/^ *pages /,/^status: /{/^status: /d;p}'
