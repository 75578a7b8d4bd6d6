/*
 * Fuzzes the guest's side of the network rings. Whatever a back end's answers hold, a frame that
 * passes the gate has pieces that lie within their pages and add up to its length, and no more
 * slots are taken than there are. And whatever a frame holds, its flow hash reads nothing outside
 * of it. Input: a number of slots, slots, a frame.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/xennetf/xnf_flow.h"
#include "io/xennetf/xnf_gate.h"

#define RING 256U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check_parts(const struct xnf_frame *f)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < f->nparts; i++) {
        require(f->parts[i].slot < f->slots && f->parts[i].len > 0);
        require(f->parts[i].offset + f->parts[i].len <= (int)PAGE_SIZE);
        sum += f->parts[i].len;
    }
    require(sum == f->net.len && sum >= NET_HEADER_LEN && sum <= NET_FRAME_MAX);
    require(f->net.gso == NET_GSO_NONE || f->net.gso_size != 0);
    require(!f->open);
}

static void check_gate(union xnf_slot *slots, unsigned n)
{
    struct xnf_frame f;

    for (unsigned i = 0; i < n; i++) { /* most ids are right, or little else would be tried */
        slots[i].rsp.id = slots[i].rsp.id >= 0xff00 ? slots[i].rsp.id : (uint16_t)i;
    }
    int rc = xnf_gate(slots, n, 0, RING, &f);
    if (rc == 0 || (rc != -EAGAIN && rc != -EBADMSG)) {
        require(f.slots >= 1 && f.slots <= n && f.nparts <= NET_PIECES_MAX);
    }
    require(rc != -EBADMSG || f.why != NULL);
    require(rc != -EAGAIN || n < XNF_SLOTS_MAX);
    if (rc == 0) {
        check_parts(&f);
    }
    rc = xnf_gate_drain(slots, n, 0, RING, &f);
    require(rc != 0 || (f.slots >= 1 && f.slots <= n && (f.slots == n || !f.open)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    unsigned n = 1 + data[0] % XNF_SLOTS_MAX;
    data++;
    size--;
    if (size >= n * sizeof(union xnf_slot)) {
        union xnf_slot *slots = malloc(n * sizeof(*slots));

        require(slots != NULL);
        memcpy(slots, data, n * sizeof(*slots));
        check_gate(slots, n);
        free(slots);
    }
    uint8_t *frame = malloc(size + 1);
    require(frame != NULL);
    memcpy(frame, data, size);
    (void)xnf_flow_hash(frame, size);
    free(frame);
    return 0;
}
