# A qcow2 disk that `xl block-attach` gives to a guest without a QEMU: nobody serves it, and xl does not notice. The
# journal and the store say so, and what to write, and the disk can be detached. With a script xl refuses it by itself.
# timeout: 300
. ./lib.sh

guest block-qcow2 "disk = [ $(disk "$(image raw.img 8M)") ]"
wait_prompt block-qcow2
domid=$(xl domid block-qcow2)
image=$(image disk.qcow2 8M)
xl block-attach block-qcow2 "format=qcow2,vdev=xvdb,access=rw,target=$image"
sentence="disk \"qcow2:$image\" was given to QEMU by xl, and no QEMU serves domain $domid: detach it, and attach it as format=raw, script=block-duet, target=qcow2:$image"
wait_journal duet-block.service "qdisk $domid/51728: $sentence"
wait_store "/local/domain/0/error/backend/qdisk/$domid/51728/error" "$sentence"
timeout 9 xl block-detach block-qcow2 xvdb || fail "the disk cannot be detached"
xenstore-exists "/local/domain/0/backend/qdisk/$domid/51728" && fail "the disk is still there"
! timeout 60 xl block-attach block-qcow2 "format=qcow2,vdev=xvdb,access=rw,script=block-duet,target=$image" 2> said || fail "xl took it"
grep 'no suitable backend for disk xvdb' said > /dev/null || fail "xl says: $(cat said)"
