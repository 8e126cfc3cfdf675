// What hub_server.c (connections and HTTP), hub_server_answers.c (the hub's own paths) and hub_server_body.c share.
#ifndef FT_TESTS_SUPPORT_HUB_SERVER_INTERNAL_H
#define FT_TESTS_SUPPORT_HUB_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdio.h>

#include "common/text.h"
#include "support/hub_server.h"
#include "support/hub_server_files.h"

enum { HUB, CDN, HOSTS };
enum { MAX_CONNECTIONS = 512 };

struct hub_server {
    hub_server_options options;
    int listener[HOSTS], port[HOSTS];
    char endpoint[64];
    pthread_t acceptor[HOSTS];
    FILE *log;
    pthread_mutex_t lock;  // guards everything below, and the countdowns of the options
    pthread_cond_t idle;
    hub_server_counts counts;
    int connections[MAX_CONNECTIONS];  // descriptors, 0 = free
    int n_connections, sending;
    int links[1 << 12];    // uses of each signed address
    int n_links;
    bool stopping;
};

typedef struct {
    hub_server *server;
    int fd, host;
    hub_server_options options;  // as they were when the request came
    bool head, close;         // of the request; after the answer
    char target[2048];        // as sent
    char path[2048];          // decoded, without the query
    const char *query;        // in target, "" without
    char token[256];          // of Authorization: Bearer, "" without
    int64_t range_begin, range_end;  // begin -1 = none, end -1 = to the end; inclusive
} hub_request;

// Takes one off a countdown; false at zero.
bool hub_take(hub_server *server, int *countdown);

// Sends a head, and a text body unless HEAD was asked. `headers`: whole lines with \r\n, or "".
void hub_send_text(hub_request *request, int code, const char *headers, const char *text);
// An error as the hub says it; `error`: X-Error-Code, or NULL.
void hub_send_error(hub_request *request, int code, const char *error, const char *message);
// Counts and logs a request that was answered with `bytes` of a file.
void hub_note(hub_request *request, int code, int64_t bytes);
// False if the connection is gone.
bool hub_send_bytes(int fd, const char *bytes, size_t n);
bool hub_send_head(hub_request *request, int code, int64_t bytes, const char *headers);
// Sends the file, or the range asked for, with the faults that are due.
void hub_send_file(hub_request *request, const char *path, int64_t bytes, const char *headers);

// Answers a request to the hub; to the CDN.
void hub_answer(hub_request *request);
void hub_answer_cdn(hub_request *request);

#endif
