/*
 * Fuzzes what touches a guest's console bytes: the ring with any indices, and the filter of
 * replayed output. The ring's page ends where the allocation ends, so that AddressSanitizer sees a
 * step outside. Input: limits and the four indices; the rest is output.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"
#include "cons_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void fuzz_ring(const uint8_t *data, size_t size)
{
    XENCONS_RING_IDX in_cons, in_prod, out_cons;
    struct xencons_interface *ring = malloc(sizeof(*ring));
    struct cons_batch batch;
    uint16_t limit;

    require(ring != NULL);
    memset(ring, 0x5a, sizeof(*ring));
    memcpy(&limit, data, sizeof(limit));
    memcpy(&ring->in_cons, data + sizeof(limit), 4 * sizeof(XENCONS_RING_IDX));
    in_cons = ring->in_cons;
    in_prod = ring->in_prod;
    out_cons = ring->out_cons;
    if (cons_peek(ring, limit, &batch) == 0) {
        require(batch.len <= limit && batch.len <= CONS_OUT_SIZE);
        require(batch.len <= (XENCONS_RING_IDX)(ring->out_prod - out_cons));
        cons_consume(ring, &batch);
        require(ring->out_cons == (XENCONS_RING_IDX)(out_cons + batch.len));
    } else {
        require((XENCONS_RING_IDX)(ring->out_prod - out_cons) > CONS_OUT_SIZE);
        require(ring->out_cons == out_cons);
    }
    require(cons_input_room(ring) <= CONS_IN_SIZE);
    size = cons_input(ring, (const char *)data, size);
    require(ring->in_cons == in_cons && ring->in_prod == (XENCONS_RING_IDX)(in_prod + size));
    require(size == 0 || (XENCONS_RING_IDX)(ring->in_prod - in_cons) <= CONS_IN_SIZE);
    free(ring);
}

/* Nothing gets longer, and in place it is the same. */
static void fuzz_replay(const uint8_t *data, size_t size)
{
    char *in = malloc(size), *out = malloc(size);
    size_t len;

    require(in != NULL && out != NULL);
    memcpy(in, data, size);
    len = cons_replay_filter(in, size, out);
    require(len <= size);
    require(cons_replay_filter(in, size, in) == len && memcmp(in, out, len) == 0);
    require(memchr(out, '\x05', len) == NULL);
    free(in);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t header = sizeof(uint16_t) + 4 * sizeof(XENCONS_RING_IDX);

    if (size <= header)
        return 0;
    fuzz_ring(data, size);
    fuzz_replay(data + header, size - header);
    return 0;
}
