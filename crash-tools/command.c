/*
 * What commands share: excuses, and arguments that are numbers or addresses.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"

int crash_fail(struct excuse *why, int status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    return status;
}

int crash_loaded(int err, struct excuse *why)
{
    return err == 0 ? CRASH_DONE
                    : crash_fail(why, CRASH_FAILED, "the kernel's threads cannot be read: %s",
                                 strerror(-err));
}

bool crash_number(const char *text, uint64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && text[0] != '+';
}

int crash_address(const struct session *s, const char *text, uint64_t *address, struct excuse *why)
{
    char symbol[128];
    size_t len = strcspn(text, "+");
    uint64_t offset = 0;

    if (crash_number(text, address)) {
        return CRASH_DONE;
    }
    if (s->image == NULL) {
        return crash_fail(why, CRASH_FAILED, "without a kernel '%s' means nothing", text);
    }
    snprintf(symbol, sizeof(symbol), "%.*s", (int)len, text);
    if ((text[len] == '+' && !crash_number(text + len + 1, &offset)) ||
        image_address(s->image, symbol, address) != 0) {
        return crash_fail(why, CRASH_USAGE, "'%s' is neither a number nor a symbol", text);
    }
    *address += offset;
    return CRASH_DONE;
}

const char *crash_text(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));

    return text != NULL ? text : "";
}
