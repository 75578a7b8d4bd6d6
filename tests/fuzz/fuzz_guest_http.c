/*
 * Fuzzes the guest's HTTP parser. Whatever a client or a server sends, a head is no longer than
 * what came, a path ends within its room, and a range lies within the file. Input: the bytes of a
 * connection.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/httpd/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_request req;
    struct http_reply reply;
    char *text = malloc(size + 1);
    size_t len = http_head_length((const char *)data, size);

    require(text && len <= size);
    len = len ? len : size;
    memcpy(text, data, len);
    int status = http_parse(text, len, &req);
    require(status == 0 || (status >= 400 && status < 600 && !req.keep));
    if (!status) {
        uint64_t first, count, file = size * 7;

        require(memchr(req.path, '\0', sizeof(req.path)) && req.path[0] == '/');
        int answer = http_range(&req, file, &first, &count);
        require(answer == 416 || (first <= file && count <= file - first));
    }
    memcpy(text, data, len);
    (void)http_parse_reply(text, len, &reply);
    free(text);
    return 0;
}
