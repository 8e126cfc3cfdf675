#include "support/hub_server_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

enum { HEAD_BYTES = 16 << 10 };

bool hub_take(hub_server *server, int *countdown)
{
    pthread_mutex_lock(&server->lock);
    bool due = *countdown > 0;
    if (due) --*countdown;
    pthread_mutex_unlock(&server->lock);
    return due;
}

void hub_note(hub_request *r, int code, int64_t bytes)
{
    hub_server *server = r->server;
    pthread_mutex_lock(&server->lock);
    server->counts.requests++;
    if (r->token[0]) *(r->host == HUB ? &server->counts.hub_tokens : &server->counts.cdn_tokens) += 1;
    if (server->log) {
        fprintf(server->log, "%s %s %.*s %d range %lld-%lld bytes %lld authorization %s\n", r->host == HUB ? "hub" : "cdn", r->head ? "HEAD" : "GET",
                (int)strcspn(r->target, "?"), r->target, code, (long long)r->range_begin, (long long)r->range_end, (long long)bytes, r->token[0] ? "yes" : "no");
        fflush(server->log);
    }
    pthread_mutex_unlock(&server->lock);
}

bool hub_send_bytes(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool hub_send_head(hub_request *r, int code, int64_t bytes, const char *headers)
{
    char head[8192];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nContent-Length: %lld\r\n%s%s\r\n", code, code < 300 ? "OK" : code < 400 ? "Found" : "Refused",
                     (long long)bytes, headers, r->close ? "Connection: close\r\n" : "");
    return hub_send_bytes(r->fd, head, (size_t)n);
}

void hub_send_text(hub_request *r, int code, const char *headers, const char *text)
{
    hub_note(r, code, 0);
    if (!hub_send_head(r, code, (int64_t)strlen(text), headers) || (!r->head && !hub_send_bytes(r->fd, text, strlen(text)))) r->close = true;
}

void hub_send_error(hub_request *r, int code, const char *error, const char *message)
{
    char headers[512], body[512];
    snprintf(headers, sizeof headers, "%s%s%sX-Error-Message: %s\r\nContent-Type: application/json\r\n", error ? "X-Error-Code: " : "", error ? error : "",
             error ? "\r\n" : "", message);
    snprintf(body, sizeof body, "{\"error\":\"%s\"}", message);
    hub_send_text(r, code, headers, body);
}

// ---- requests

static void decode(const char *from, size_t n, char *to, size_t room)
{
    size_t k = 0;
    for (size_t i = 0; i < n && k + 1 < room; i++) {
        char hex[3] = {0};
        if (from[i] == '%' && i + 2 < n) memcpy(hex, from + i + 1, 2);
        to[k++] = hex[0] ? (char)strtol(hex, NULL, 16) : from[i];
        i += hex[0] ? 2 : 0;
    }
    to[k] = 0;
}

static void read_header(hub_request *r, const char *line)
{
    long long begin, end = -1;
    if (strncasecmp(line, "Authorization: Bearer ", 22) == 0) snprintf(r->token, sizeof r->token, "%.*s", (int)strcspn(line + 22, "\r"), line + 22);
    else if (strncasecmp(line, "Range: bytes=", 13) == 0 && sscanf(line + 13, "%lld-%lld", &begin, &end) >= 1) {
        r->range_begin = begin;
        r->range_end = end;
    } else if (strncasecmp(line, "Connection: close", 17) == 0) {
        r->close = true;
    }
}

static bool parse(hub_request *r, char *head)
{
    char method[8];
    r->range_begin = r->range_end = -1;
    r->token[0] = 0;
    r->close = false;
    if (sscanf(head, "%7s %2047s", method, r->target) != 2) return false;
    r->head = strcmp(method, "HEAD") == 0;
    size_t path = strcspn(r->target, "?");
    r->query = r->target + path;
    decode(r->target, path, r->path, sizeof r->path);
    for (char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) read_header(r, line + 2);
    return true;
}

static void answer(hub_request *r)
{
    hub_server *server = r->server;
    char headers[64];
    if (hub_take(server, &server->options.busy)) {
        hub_send_error(r, 503, NULL, "Service Unavailable");
    } else if (hub_take(server, &server->options.refused)) {
        snprintf(headers, sizeof headers, "Retry-After: %d\r\n", r->options.retry_after_s);
        hub_send_text(r, 429, headers, "");
    } else if (r->host == HUB) {
        hub_answer(r);
    } else {
        hub_answer_cdn(r);
    }
}

// The head of the next request, NUL-terminated; what came behind it stays. False at the end of the connection.
static bool read_head(int fd, char *buffer, size_t *have, size_t *head)
{
    for (;;) {
        buffer[*have] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        if (end) {
            *head = (size_t)(end - buffer) + 4;
            end[2] = 0;
            return true;
        }
        ssize_t n = *have + 1 < HEAD_BYTES ? recv(fd, buffer + *have, HEAD_BYTES - 1 - *have, 0) : 0;
        if (n <= 0) return false;
        *have += (size_t)n;
    }
}

static void serve(hub_request *r)
{
    char buffer[HEAD_BYTES];
    size_t have = 0, head;
    while (read_head(r->fd, buffer, &have, &head)) {
        if (!parse(r, buffer)) return;
        r->options = hub_server_get(r->server);
        answer(r);
        if (r->close) return;
        memmove(buffer, buffer + head, have - head);
        have -= head;
    }
}

static int take_place(hub_server *server, int fd)
{
    int place = -1;
    pthread_mutex_lock(&server->lock);
    for (int i = 0; i < MAX_CONNECTIONS && place < 0 && !server->stopping; i++)
        if (server->connections[i] == 0) place = i;
    if (place >= 0) server->connections[place] = fd;
    pthread_mutex_unlock(&server->lock);
    return place;
}

static void *connection_main(void *argument)
{
    hub_request *r = argument;
    hub_server *server = r->server;
    int place = take_place(server, r->fd);
    if (place >= 0) serve(r);
    pthread_mutex_lock(&server->lock);
    if (place >= 0) server->connections[place] = 0;
    server->n_connections--;
    close(r->fd);
    pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->lock);
    free(r);
    return NULL;
}

typedef struct {
    hub_server *server;
    int host;
} acceptor;

// Counted before its thread runs, so that a stop waits for it.
static void begin_connection(hub_server *server, int host, int fd)
{
    pthread_t thread;
    hub_request *r = calloc(1, sizeof *r);
    *r = (hub_request){.server = server, .fd = fd, .host = host};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    pthread_mutex_lock(&server->lock);
    server->n_connections++;
    pthread_mutex_unlock(&server->lock);
    if (pthread_create(&thread, NULL, connection_main, r) != 0) abort();
    pthread_detach(thread);
}

static void *accept_main(void *argument)
{
    acceptor a = *(acceptor *)argument;
    free(argument);
    for (int fd; (fd = accept4(a.server->listener[a.host], NULL, NULL, SOCK_CLOEXEC)) >= 0;) begin_connection(a.server, a.host, fd);
    return NULL;
}

// ---- life

static bool listen_on(hub_server *server, int host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int fd = server->listener[host] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, n) != 0 || listen(fd, 128) != 0 || getsockname(fd, (struct sockaddr *)&address, &n) != 0) {
        fprintf(stderr, "hub_server: port %d: %s\n", port, strerror(errno));
        return false;
    }
    server->port[host] = ntohs(address.sin_port);
    acceptor *a = calloc(1, sizeof *a);
    *a = (acceptor){server, host};
    return pthread_create(&server->acceptor[host], NULL, accept_main, a) == 0;
}

hub_server *hub_server_start(const hub_server_options *options)
{
    hub_server *server = calloc(1, sizeof *server);
    server->options = *options;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->idle, NULL);
    if (options->log) server->log = fopen(options->log, "a");
    if (!listen_on(server, CDN, 0) || !listen_on(server, HUB, options->port)) return NULL;
    snprintf(server->endpoint, sizeof server->endpoint, "http://127.0.0.1:%d", server->port[HUB]);
    return server;
}

void hub_server_stop(hub_server *server)
{
    for (int i = 0; i < HOSTS; i++) shutdown(server->listener[i], SHUT_RDWR);
    for (int i = 0; i < HOSTS; i++) pthread_join(server->acceptor[i], NULL);
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        if (server->connections[i]) shutdown(server->connections[i], SHUT_RDWR);
    while (server->n_connections > 0) pthread_cond_wait(&server->idle, &server->lock);
    pthread_mutex_unlock(&server->lock);
    for (int i = 0; i < HOSTS; i++) close(server->listener[i]);
    if (server->log) fclose(server->log);
    free(server);
}

const char *hub_server_endpoint(const hub_server *server)
{
    return server->endpoint;
}

hub_server_options hub_server_get(hub_server *server)
{
    pthread_mutex_lock(&server->lock);
    hub_server_options options = server->options;
    pthread_mutex_unlock(&server->lock);
    return options;
}

void hub_server_set(hub_server *server, const hub_server_options *options)
{
    pthread_mutex_lock(&server->lock);
    server->options = *options;
    pthread_mutex_unlock(&server->lock);
}

void hub_server_count(hub_server *server, hub_server_counts *counts)
{
    pthread_mutex_lock(&server->lock);
    *counts = server->counts;
    pthread_mutex_unlock(&server->lock);
}

void hub_server_reset(hub_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->counts = (hub_server_counts){0};
    pthread_mutex_unlock(&server->lock);
}
