// What the files of the hub's client share: the client of a listing, and requests that follow redirects and repeat themselves.
#ifndef FT_IO_HUB_INTERNAL_H
#define FT_IO_HUB_INTERNAL_H

#include "io/http.h"
#include "io/hub.h"

#define FT_HUB_CONNECTIONS 8

// Connections to one endpoint, kept between calls; of one thread at a time. Nothing is shared between clients.
typedef struct ft_hub_client {
    ft_http *http;
    int connections;
    char *endpoint;    // without a slash at its end
    char *token;       // NULL = none
    char **links;      // of each file of the listing: the signed address that its redirect led to, NULL = ask
    int n_links;
    bool answered;     // something has come from a host
} ft_hub_client;

ft_status ft_hub_client_open(ft_hub_client **client, int connections);
void ft_hub_client_close(ft_hub_client *client);
// Changes the number of connections; nothing may run.
ft_status ft_hub_client_connect(ft_hub_client *client, int connections);

bool ft_hub_is_plain_path(const char *path);         // relative, without empty, "." or ".." components and control characters
bool ft_hub_cancelled(const volatile int *cancel);   // it, or what ft_hub_set_cancel has named

// ---- requests (hub_request.c)

// What a request is about, for messages.
typedef struct {
    ft_hub_kind kind;
    const char *repository, *revision, *path;  // path NULL = the repository itself
} ft_hub_subject;

// A GET at the endpoint: redirects are followed (the token goes to the endpoint's own origin alone), what may pass is repeated,
// after a drop from the byte it stopped at. The caller fills in the first part and keeps it until the end.
typedef struct ft_hub_request {
    ft_http_transfer transfer;
    ft_hub_client *client;
    ft_hub_subject subject;
    int file;                 // of the listing: its link is used and kept; -1 = none
    const ft_hub_file *entry; // the same: what an answer says of itself is held against it; NULL = none
    char *address;            // at the endpoint; heap, taken over
    int64_t begin, end;       // range; end 0 = the whole
    // Bytes from `offset` of the file on. offset == begin comes again if the whole is asked for again.
    ft_status (*sink)(void *user, int64_t offset, const void *data, size_t n);
    void *user;
    // state
    char *url;                // of the present hop
    int64_t done;             // bytes from begin that have arrived
    int hops, attempts;
    int expiries;             // links that were refused in a row without a byte
    bool located;             // past the redirects: bytes have come
    bool running;
    double due_s;             // when to go on, if it is not running
} ft_hub_request;

typedef enum { FT_HUB_RUNNING, FT_HUB_WAITING, FT_HUB_DONE } ft_hub_state;

ft_status ft_hub_request_begin(ft_hub_request *request);
// After its transfer has ended, or (WAITING) when it is due.
ft_status ft_hub_request_step(ft_hub_request *request, ft_hub_state *state);
void ft_hub_request_end(ft_hub_request *request);  // cancels what runs; also of a zeroed one
// All of it, on this thread.
ft_status ft_hub_request_run(ft_hub_request *request, const volatile int *cancel);

// A transient failure: whether to ask again, and when. `attempts` counts failures in a row without a byte.
bool ft_hub_retry(const ft_hub_request *request, int attempts, double *wait_s);
// The one line of an answer that refuses, or of a network that failed.
ft_status ft_hub_refuse(const ft_hub_request *request);
ft_status ft_hub_refuse_offline(const ft_hub_subject *subject);

// The address of a file at the endpoint, heap.
char *ft_hub_resolve_address(const ft_hub_listing *listing, const ft_hub_file *file);
ft_hub_subject ft_hub_subject_of(const ft_hub_listing *listing, const ft_hub_file *file);

// ---- links (hub_links.c)

ft_status ft_hub_make_parent(const char *path);  // the directories above a path that has a slash
// Makes, or sets right, the link of a file whose blob is there.
ft_status ft_hub_link(const char *snapshot, const ft_hub_file *file);
bool ft_hub_is_linked(const char *snapshot, const ft_hub_file *file);  // and leads to a blob of its length

// ---- choice (hub_choose.c)

bool ft_hub_glob(const char *pattern, const char *path);

#endif
