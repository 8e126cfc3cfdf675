// Bodies of files: ranges, a rate, and the faults that are due.
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "support/hub_server_internal.h"

enum { PIECE = 64 << 10, SMALL_BODY = 1024 };

typedef struct {
    int64_t stop_at;   // bytes of the body after which it ends or hangs, -1 = whole
    int64_t flip_at;   // byte that is sent wrong, -1 = none
    bool hang;
} body_fault;

static body_fault choose_fault(hub_request *r, int64_t bytes)
{
    hub_server *server = r->server;
    body_fault fault = {-1, -1, false};
    if (bytes <= SMALL_BODY || r->head) return fault;
    int64_t middle = r->options.drop_after && r->options.drop_after < bytes ? r->options.drop_after : bytes / 2;
    if (hub_take(server, &server->options.drops)) fault.stop_at = middle;
    else if (hub_take(server, &server->options.hangs)) fault = (body_fault){middle, -1, true};
    else if (hub_take(server, &server->options.wrongs)) fault.flip_at = middle;
    return fault;
}

static void begin_sending(hub_server *server)
{
    pthread_mutex_lock(&server->lock);
    if (++server->sending > server->counts.most_at_once) server->counts.most_at_once = server->sending;
    pthread_mutex_unlock(&server->lock);
}

static void end_sending(hub_server *server, int64_t bytes)
{
    pthread_mutex_lock(&server->lock);
    server->sending--;
    server->counts.bytes += bytes;
    pthread_mutex_unlock(&server->lock);
}

static void keep_to_rate(int64_t slow, double start_s, int64_t sent)
{
    if (slow <= 0) return;
    double ahead_s = (double)sent / (double)slow - (ft_now_s() - start_s);
    if (ahead_s > 0) nanosleep(&(struct timespec){(time_t)ahead_s, (long)((ahead_s - (double)(time_t)ahead_s) * 1e9)}, NULL);
}

// Says nothing more until the client goes away.
static void hang(hub_request *r)
{
    char byte;
    while (recv(r->fd, &byte, 1, 0) > 0) continue;
}

// Bytes sent of the n from `offset` on.
static int64_t send_body(hub_request *r, int file, int64_t offset, int64_t n, const body_fault *fault)
{
    static _Thread_local char piece[PIECE];
    double start_s = ft_now_s();
    int64_t sent = 0, end = fault->stop_at >= 0 ? fault->stop_at : n;
    size_t most = r->options.slow ? PIECE / 8 : PIECE;
    while (sent < end) {
        size_t want = (int64_t)most < end - sent ? most : (size_t)(end - sent);
        ssize_t got = pread(file, piece, want, offset + sent);
        if (got <= 0) break;
        if (fault->flip_at >= sent && fault->flip_at < sent + got) piece[fault->flip_at - sent] ^= 0x20;
        if (!hub_send_bytes(r->fd, piece, (size_t)got)) break;
        sent += got;
        keep_to_rate(r->options.slow, start_s, sent);
    }
    if (sent < n) r->close = true;
    if (fault->hang) hang(r);
    return sent;
}

// The range asked for, within the file; false if it lies outside.
static bool choose_range(const hub_request *r, int64_t bytes, int64_t *begin, int64_t *end)
{
    bool whole = r->range_begin < 0 || r->options.ignore_range;
    *begin = whole ? 0 : r->range_begin;
    *end = whole || r->range_end < 0 || r->range_end >= bytes ? bytes : r->range_end + 1;
    return whole || *begin < bytes;
}

void hub_send_file(hub_request *r, const char *path, int64_t bytes, const char *headers)
{
    int64_t begin, end;
    char lines[4096];
    if (!choose_range(r, bytes, &begin, &end)) {
        snprintf(lines, sizeof lines, "Content-Range: bytes */%lld\r\n", (long long)bytes);
        hub_send_text(r, 416, lines, "");
        return;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    body_fault fault = choose_fault(r, end - begin);
    int64_t told = end - begin > SMALL_BODY && !r->head && hub_take(r->server, &r->server->options.shorts) ? (end - begin) / 2 : end - begin;
    bool part = end - begin < bytes;
    int n = snprintf(lines, sizeof lines, "Accept-Ranges: bytes\r\n%s", headers);
    if (part) snprintf(lines + n, sizeof lines - (size_t)n, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)begin, (long long)end - 1, (long long)bytes);
    int64_t sent = 0;
    begin_sending(r->server);
    if (!hub_send_head(r, part ? 206 : 200, told, lines)) r->close = true;
    else if (!r->head) sent = send_body(r, file, begin, told, &fault);
    end_sending(r->server, sent);
    hub_note(r, part ? 206 : 200, sent);
    close(file);
}
