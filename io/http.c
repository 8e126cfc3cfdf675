#include "io/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "io/http_library.h"

enum { BUFFER_BYTES = 512 << 10, CONNECT_S = 10, MAX_ASIDE = 1 << 20 };

struct ft_http {
    const ft_curl *curl;
    CURLM *multi;
    CURL **idle;         // handles without a transfer
    ft_http_transfer **running;
    int connections, n_idle, n_running;
    double stall_s;
};

// HF_HUB_DOWNLOAD_TIMEOUT, else 30.
static double stall_s(void)
{
    const char *text = getenv("HF_HUB_DOWNLOAD_TIMEOUT");
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds >= 1 ? seconds : 30;
}

static ft_status make_handles(ft_http *http)
{
    for (int i = 0; i < http->connections; i++) {
        CURL *easy = http->curl->easy_init();
        if (easy == NULL) return ft_error(FT_E_NOMEM, "out of memory: no handle for a download");
        http->idle[http->n_idle++] = easy;
    }
    return FT_OK;
}

ft_status ft_http_open(ft_http **out, int connections)
{
    const ft_curl *curl;
    *out = NULL;
    FT_TRY(ft_curl_load(&curl));
    ft_http *http = FT_NEW(ft_http);
    FT_ALLOC_CHECK(http);
    *http = (ft_http){.curl = curl, .connections = connections, .stall_s = stall_s(), .multi = curl->multi_init(), .idle = FT_NEW_ARRAY(CURL *, connections),
                      .running = FT_NEW_ARRAY(ft_http_transfer *, connections)};
    ft_status status = http->multi && http->idle && http->running ? make_handles(http) : FT_E_NOMEM;
    if (status != FT_OK) {
        ft_http_close(http);
        return status;
    }
    curl->multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)connections + 2);
    *out = http;
    return FT_OK;
}

void ft_http_close(ft_http *http)
{
    if (http == NULL) return;
    while (http->n_running > 0) ft_http_cancel(http, http->running[0]);
    for (int i = 0; i < http->n_idle; i++) http->curl->easy_cleanup(http->idle[i]);
    if (http->multi) http->curl->multi_cleanup(http->multi);
    ft_free(http->idle);
    ft_free(http->running);
    ft_free(http);
}

// ---- what arrives

// A host that never comes to the point is left: its bytes keep the stall time away.
static bool is_babble(ft_http_transfer *t, size_t bytes)
{
    t->aside += (int64_t)bytes;
    if (t->aside <= MAX_ASIDE) return false;
    t->status = FT_E_IO;
    snprintf(t->message, sizeof t->message, "an answer without an end");
    return true;
}

// All of a range, whatever the server announced beyond it.
static bool is_complete(const ft_http_transfer *t)
{
    return t->status == FT_OK && t->bytes > 0 && t->arrived == t->bytes;
}

static size_t on_head(char *line, size_t size, size_t n, void *user)
{
    ft_http_transfer *t = user;
    t->heard_s = ft_now_s();
    if (is_babble(t, size * n)) return 0;
    if (size * n > 5 && strncmp(line, "HTTP/", 5) == 0) ft_http_head_clear(&t->head);  // of a proxy, or "100 Continue"
    ft_http_head_read(&t->head, line, size * n);
    return size * n;
}

static long code_of(const ft_http_transfer *t)
{
    long code = 0;
    t->http->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

// At the first byte of a body: where it lies. A 206 that begins elsewhere is not what was asked for.
static ft_status begin_body(ft_http_transfer *t)
{
    t->code = (int)code_of(t);
    if (t->code == 200) t->skip = t->offset;
    if (t->code == 206 && t->head.range_begin != t->offset) {
        snprintf(t->message, sizeof t->message, "asked for bytes from %lld, got bytes from %lld", (long long)t->offset, (long long)t->head.range_begin);
        return FT_E_IO;
    }
    return FT_OK;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    ft_http_transfer *t = user;
    size_t bytes = size * n, all = bytes;
    t->heard_s = ft_now_s();
    if (t->code == 0 && (t->status = begin_body(t)) != FT_OK) return 0;
    if (t->code != 200 && t->code != 206) return is_babble(t, all) ? 0 : all;
    size_t skipped = (int64_t)bytes < t->skip ? bytes : (size_t)t->skip;
    t->skip -= (int64_t)skipped;
    data += skipped;
    bytes -= skipped;
    bool last = t->bytes > 0 && t->arrived + (int64_t)bytes >= t->bytes;
    if (last) bytes = (size_t)(t->bytes - t->arrived);
    if (bytes > 0 && (t->status = t->body(t, data, bytes)) != FT_OK) return 0;
    t->arrived += (int64_t)bytes;
    return last && bytes + skipped < all ? 0 : all;  // there is more, which nobody asked for: the connection is dropped
}

// ---- one transfer

static ft_status make_headers(ft_http *http, ft_http_transfer *t)
{
    if (t->token == NULL) return FT_OK;
    char *line = ft_format("Authorization: Bearer %s", t->token);
    t->list = line ? http->curl->slist_append(NULL, line) : NULL;
    ft_free(line);
    return t->list ? FT_OK : ft_error(FT_E_NOMEM, "out of memory: no headers for a download");
}

static void set_authorities(const ft_curl *curl, CURL *easy)
{
    static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = getenv(names[i]);
        if (path == NULL || path[0] == 0) continue;
        curl->easy_setopt(easy, CURLOPT_CAINFO, path);
        return;
    }
}

static void set_range(const ft_curl *curl, CURL *easy, const ft_http_transfer *t)
{
    char range[64];
    if (t->bytes <= 0) return;
    snprintf(range, sizeof range, "%lld-%lld", (long long)t->offset, (long long)(t->offset + t->bytes - 1));
    curl->easy_setopt(easy, CURLOPT_RANGE, range);
}

static void set_options(ft_http *http, ft_http_transfer *t)
{
    const ft_curl *curl = http->curl;
    CURL *easy = t->easy;
    curl->easy_setopt(easy, CURLOPT_URL, t->url);
    curl->easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl->easy_setopt(easy, CURLOPT_USERAGENT, "ft-single");
    curl->easy_setopt(easy, CURLOPT_HTTPHEADER, t->list);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl->easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    set_range(curl, easy, t);
    set_authorities(curl, easy);
}

ft_status ft_http_start(ft_http *http, ft_http_transfer *t)
{
    FT_ASSERT(http->n_idle > 0, "more transfers than connections");
    t->http = http;
    t->code = 0;
    t->arrived = t->skip = t->aside = 0;
    t->status = FT_OK;
    t->final = t->unreachable = false;
    t->message[0] = t->error[0] = 0;
    t->list = NULL;
    t->heard_s = ft_now_s();
    ft_http_head_clear(&t->head);
    FT_TRY(make_headers(http, t));
    t->easy = http->idle[--http->n_idle];
    set_options(http, t);
    http->running[http->n_running++] = t;
    if (http->curl->multi_add_handle(http->multi, t->easy) == CURLM_OK) return FT_OK;
    ft_http_cancel(http, t);
    return ft_error(FT_E_IO, "a download cannot be started");
}

// Gives the handle back.
void ft_http_cancel(ft_http *http, ft_http_transfer *t)
{
    http->curl->multi_remove_handle(http->multi, t->easy);
    http->curl->easy_reset(t->easy);  // it points into the transfer
    http->curl->slist_free_all(t->list);
    http->idle[http->n_idle++] = t->easy;
    t->easy = t->list = NULL;
    int place = 0;
    while (http->running[place] != t) place++;
    http->running[place] = http->running[--http->n_running];
}

// ---- ends

static bool never_helps(CURLcode code)
{
    static const CURLcode codes[] = {CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
                                     CURLE_SSL_CERTPROBLEM, CURLE_COULDNT_RESOLVE_PROXY};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == code) return true;
    return false;
}

// What was asked for, and how much of it came.
static void check_length(ft_http_transfer *t)
{
    if (t->status != FT_OK || (t->code != 200 && t->code != 206) || t->bytes <= 0 || t->arrived == t->bytes) return;
    t->status = FT_E_IO;
    snprintf(t->message, sizeof t->message, "%lld of %lld bytes came", (long long)t->arrived, (long long)t->bytes);
}

static void end(ft_http *http, ft_http_transfer *t, CURLcode result)
{
    t->code = (int)code_of(t);
    if (result != CURLE_OK && !is_complete(t) && t->status == FT_OK) {
        t->status = FT_E_IO;
        t->final = never_helps(result);
        t->unreachable = result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST || (result == CURLE_OPERATION_TIMEDOUT && t->code == 0);
        bool plain = t->error[0] && strchr(t->error, '@') == NULL;  // it may quote a proxy with its password
        snprintf(t->message, sizeof t->message, "%s", plain ? t->error : http->curl->easy_strerror(result));
    }
    check_length(t);
    ft_http_cancel(http, t);
}

static ft_http_transfer *take_ended(ft_http *http)
{
    int left;
    for (CURLMsg *news; (news = http->curl->multi_info_read(http->multi, &left));) {
        char *user = NULL;
        if (news->msg != CURLMSG_DONE) continue;
        http->curl->easy_getinfo(news->easy_handle, CURLINFO_PRIVATE, &user);
        ft_http_transfer *t = (ft_http_transfer *)(void *)user;
        end(http, t, news->data.result);
        return t;
    }
    return NULL;
}

static void end_stalled(ft_http *http, ft_http_transfer *t)
{
    t->code = (int)code_of(t);
    if (!is_complete(t)) {
        t->status = FT_E_IO;
        t->unreachable = t->code == 0;
        snprintf(t->message, sizeof t->message, "nothing has come for %.0f s", http->stall_s);
    }
    ft_http_cancel(http, t);
}

// One from which nothing has come for too long. (libcurl's own limit is an average over several seconds.)
static ft_http_transfer *take_stalled(ft_http *http)
{
    double now_s = ft_now_s();
    for (int i = 0; i < http->n_running; i++) {
        ft_http_transfer *t = http->running[i];
        if (now_s - t->heard_s < http->stall_s) continue;
        end_stalled(http, t);
        return t;
    }
    return NULL;
}

ft_status ft_http_wait(ft_http *http, double seconds, ft_http_transfer **ended)
{
    double until_s = ft_now_s() + seconds;
    for (;;) {
        int running;
        double left_s;
        if (http->curl->multi_perform(http->multi, &running) != CURLM_OK) return ft_error(FT_E_IO, "libcurl cannot go on with a download");
        if ((*ended = take_ended(http)) || (*ended = take_stalled(http)) || (left_s = until_s - ft_now_s()) <= 0) return FT_OK;
        http->curl->multi_poll(http->multi, NULL, 0, (int)(left_s * 1000) + 1, NULL);
    }
}
