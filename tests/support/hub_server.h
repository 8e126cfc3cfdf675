// A hub on the loopback for tests and for trying things out: HTTP/1.1 over a directory of repositories, a thread a connection.
//
// DIRECTORY/models/ORG/NAME/... and DIRECTORY/datasets/ORG/NAME/... are repositories at revision main; .../NAME@REVISION/... is the
// same one at another. A commit is the hash of what a revision holds. Files of 64 KiB and more, and all .safetensors, .parquet
// and .bin, are "large": the first host (the hub) redirects to the second (the CDN, another port), signed.
// What it answers: /api/models|datasets/REPO[/revision/REV], .../tree/REV?recursive=true in pages, and /[datasets/]REPO/resolve/REV/PATH,
// with the headers of the real one (ETag, X-Linked-Etag, X-Linked-Size, X-Repo-Commit, X-Error-Code, Link).
#ifndef FT_TESTS_SUPPORT_HUB_SERVER_H
#define FT_TESTS_SUPPORT_HUB_SERVER_H

#include <stdbool.h>
#include <stdint.h>

// Faults count down: each spoils that many answers. Those of bodies spoil only bodies of more than 1 KiB.
typedef struct {
    const char *directory;
    int port;               // of the hub; 0 = any. The CDN takes any
    int page;               // entries of a page of the listing, 0 = 1000
    int64_t slow;           // bytes a second and connection, 0 = no limit
    const char *token;      // the only valid one, for repositories whose name begins with "private" or "gated"
    bool ignore_range;      // answers 200 and the whole file
    bool direct;            // large files without a redirect
    bool relative;          // one redirect more, to a path of the hub itself
    int link_uses;          // a signed address works so often, then answers 403; 0 = always
    const char *log;        // file: a line a request; NULL = none

    int busy, refused;      // answer 503; 429 with Retry-After
    int retry_after_s;
    int drops, shorts, wrongs, hangs;  // close in the middle; announce less; flip a byte; stop sending in the middle
    int64_t drop_after;     // bytes of a body before a drop or a hang, 0 = half of it
    bool evil;              // the listing names a path that leads out
} hub_server_options;

typedef struct {
    int requests;                  // to both hosts
    int hub_tokens, cdn_tokens;    // requests with an Authorization header
    int64_t bytes;                 // of file bodies sent
    int resolves, links;           // requests to /resolve/ and to the CDN
    int most_at_once;              // connections that sent a body at the same time
} hub_server_counts;

typedef struct hub_server hub_server;

// NULL, with a line on stderr, if it cannot listen. The options' strings must outlive it.
hub_server *hub_server_start(const hub_server_options *options);
void hub_server_stop(hub_server *server);  // ends its connections and threads
const char *hub_server_endpoint(const hub_server *server);  // "http://127.0.0.1:PORT"
// While it runs, too.
hub_server_options hub_server_get(hub_server *server);
void hub_server_set(hub_server *server, const hub_server_options *options);  // for the requests that come then
void hub_server_count(hub_server *server, hub_server_counts *counts);
void hub_server_reset(hub_server *server);  // zeroes the counts

#endif
