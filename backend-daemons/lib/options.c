/*
 * Values of options: see options.h.
 */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

#define UID_BASE_MAX 0xfffe0000U

bool options_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    unsigned long long n;
    char *end;

    errno = 0;
    n = strtoull(text, &end, 0);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || n < min || n > max) {
        fprintf(stderr, "%s: --%s %s: not a number from %" PRIu64 " to %" PRIu64 "\n",
                program_invocation_short_name, option, text, min, max);
        return false;
    }
    *out = n;
    return true;
}

bool options_uid_base(const char *text, uid_t *out)
{
    uint64_t n;

    if (!options_number("uid-base", text, 1, UID_BASE_MAX, &n)) {
        return false;
    }
    *out = (uid_t)n;
    return true;
}

bool options_log_level(const char *text)
{
    int level = log_level_by_name(text);

    if (level < 0) {
        fprintf(stderr, "%s: --log-level %s: there is no such level\n",
                program_invocation_short_name, text);
        return false;
    }
    log_set_level(level);
    return true;
}
