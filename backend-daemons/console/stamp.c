/*
 * Times in logs: see stamp.h.
 */
#include "stamp.h"

#define MS_PER_DAY UINT64_C(86400000)

/* A digit stands for any. */
static const char form[CONS_STAMP_LEN + 1] = "[0000-00-00T00:00:00.000Z] ";

static void put_number(char *at, unsigned int digits, uint64_t value)
{
    while (digits-- > 0) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

/*
 * The date of a day since 1970. Years are counted from March on, so that a leap day is a year's
 * last; 400 of them have 146,097 days.
 */
static void put_date(char *at, uint64_t day)
{
    uint64_t days = day + 719468, era = days / 146097, of_era = days % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153; /* 0 is March */

    put_number(at + 8, 2, of_year - (153 * month + 2) / 5 + 1);
    put_number(at + 5, 2, month < 10 ? month + 3 : month - 9);
    put_number(at, 4, year + era * 400 + (month < 10 ? 0 : 1));
}

void cons_stamp_put(char out[CONS_STAMP_LEN], uint64_t ms)
{
    uint64_t of_day = ms % MS_PER_DAY;

    for (size_t i = 0; i < CONS_STAMP_LEN; i++) {
        out[i] = form[i];
    }
    put_date(out + 1, ms / MS_PER_DAY);
    put_number(out + 12, 2, of_day / 3600000);
    put_number(out + 15, 2, of_day / 60000 % 60);
    put_number(out + 18, 2, of_day / 1000 % 60);
    put_number(out + 21, 3, of_day % 1000);
}

static bool is_stamp(const char *data, size_t len)
{
    if (len < CONS_STAMP_LEN) {
        return false;
    }
    for (size_t i = 0; i < CONS_STAMP_LEN; i++) {
        if (form[i] == '0' ? data[i] < '0' || data[i] > '9' : data[i] != form[i]) {
            return false;
        }
    }
    return true;
}

size_t cons_stamp_strip(char *data, size_t len, bool line_begins)
{
    size_t kept = 0;

    for (size_t at = 0; at < len; at++) {
        if (line_begins && is_stamp(data + at, len - at)) {
            at += CONS_STAMP_LEN - 1;
            line_begins = false;
            continue;
        }
        data[kept++] = data[at];
        line_begins = data[at] == '\n';
    }
    return kept;
}
