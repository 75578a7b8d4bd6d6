/*
 * The token bucket: see bucket.h. Tokens are counted when somebody asks, from the time that has
 * passed. Fractions of a token stay in `filled_ns`, so that they add up.
 */
#include "bucket.h"

/* Wide enough for any amount times any time. */
__extension__ typedef unsigned __int128 wide;

void bucket_set(struct bucket *b, uint64_t amount, uint64_t interval_ns, uint64_t burst,
                uint64_t now_ns)
{
    *b = (struct bucket){.amount = interval_ns != 0 ? amount : 0,
                         .interval_ns = interval_ns,
                         .burst = burst > amount ? burst : amount,
                         .tokens = amount,
                         .filled_ns = now_ns};
}

/* Tokens for which there is room: what is owed comes first. */
static void add(struct bucket *b, uint64_t tokens)
{
    const uint64_t paid = tokens < b->owed ? tokens : b->owed;

    b->owed -= paid;
    b->tokens += tokens - paid;
}

/* Counts what time has brought. */
static void fill(struct bucket *b, uint64_t now_ns)
{
    wide fresh = (wide)(now_ns - b->filled_ns) * b->amount / b->interval_ns;

    if (fresh >= (wide)(b->burst - b->tokens) + b->owed) {
        b->tokens = b->burst;
        b->owed = 0;
        b->filled_ns = now_ns;
    } else {
        add(b, (uint64_t)fresh);
        b->filled_ns += (uint64_t)(fresh * b->interval_ns / b->amount);
    }
}

uint64_t bucket_tokens(struct bucket *b, uint64_t now_ns)
{
    if (b->amount == 0) {
        return UINT64_MAX;
    }
    fill(b, now_ns);
    return b->tokens;
}

void bucket_spend(struct bucket *b, uint64_t tokens)
{
    b->tokens -= tokens < b->tokens ? tokens : b->tokens;
}

void bucket_owe(struct bucket *b, uint64_t tokens)
{
    const uint64_t there = tokens < b->tokens ? tokens : b->tokens;

    if (b->amount != 0) {
        b->tokens -= there;
        b->owed += tokens - there;
    }
}

void bucket_give_back(struct bucket *b, uint64_t tokens)
{
    const uint64_t room = b->owed + b->burst - b->tokens;

    add(b, tokens < room ? tokens : room);
}

bool bucket_take(struct bucket *b, uint64_t tokens, uint64_t now_ns)
{
    if (b->amount == 0) {
        return true;
    }
    fill(b, now_ns);
    if (tokens > b->tokens) {
        b->next_ns = now_ns + bucket_wait_ns(b, tokens, now_ns);
        return false;
    }
    b->tokens -= tokens;
    return true;
}

uint64_t bucket_wait_ns(const struct bucket *b, uint64_t wanted, uint64_t now_ns)
{
    const uint64_t passed = now_ns - b->filled_ns; /* of it comes a part of a token */
    uint64_t due;

    if (b->amount == 0 || b->tokens >= wanted) {
        return 0;
    }
    due = (uint64_t)(((wide)(wanted - b->tokens) + b->owed) * b->interval_ns / b->amount) + 1;
    return due > passed ? due - passed : 0;
}
