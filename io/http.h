// HTTP GETs, several at a time over connections that are kept: libcurl's multi interface, one thread per client.
//
// A transfer is one request and one answer: redirects are not followed and nothing is repeated, that is the caller's
// (hub_request.c). HTTP/1.1 only: over HTTP/2 all transfers to a host would share one connection and its window. A transfer ends
// with an error when no byte has come for HF_HUB_DOWNLOAD_TIMEOUT seconds (else 30), however long it takes in all. Proxies come from
// the environment as curl's do (https_proxy, no_proxy), certificates of authorities from CURL_CA_BUNDLE, SSL_CERT_FILE or
// REQUESTS_CA_BUNDLE where one is set.
#ifndef FT_IO_HTTP_H
#define FT_IO_HTTP_H

#include "common/status.h"

typedef struct ft_http ft_http;

// What is kept of an answer's head; "" and -1 = not there.
typedef struct {
    char location[8192], link[2048];
    bool link_cut;                     // there was one, too long for its place
    char etag[160], linked_etag[160];  // quotes and W/ removed
    char error_code[64], error_message[256];
    int64_t linked_bytes;              // X-Linked-Size
    int64_t range_begin, range_total;  // of Content-Range
    double retry_after_s;
} ft_http_head;

typedef struct ft_http_transfer {
    const char *url;            // alive until the transfer has ended
    const char *token;          // sent as "Authorization: Bearer"; NULL = none
    int64_t offset, bytes;      // range; bytes 0 = the whole
    // Called for the bytes of a 200 or 206 that lie in the range (a server may answer with more); a failure ends the transfer.
    ft_status (*body)(struct ft_http_transfer *transfer, const void *data, size_t n);
    void *user;
    // out
    int code;                   // of the answer, 0 = none came
    ft_http_head head;
    int64_t arrived;            // bytes given to `body`
    ft_status status;           // FT_OK: the answer is whole, whatever its code; FT_E_IO: the network; else what `body` returned
    bool final;                 // FT_E_IO: asking again does not help (the certificate, the address)
    bool unreachable;           // FT_E_IO: the host was not reached
    char message[256];          // of FT_E_IO
    // private
    void *easy;
    void *list;
    char error[256];            // libcurl's own words
    double heard_s;             // when something came last
    int64_t skip;               // bytes before the range that the server sends
    int64_t aside;              // bytes that came and are none of a file: heads, the text of a refusal
    ft_http *http;
} ft_http_transfer;

// connections: at most so many transfers at once.
ft_status ft_http_open(ft_http **http, int connections);
void ft_http_close(ft_http *http);  // NULL is accepted; transfers that run are forgotten

// The caller fills in url to user, the rest is set.
ft_status ft_http_start(ft_http *http, ft_http_transfer *transfer);
// Moves bytes for at most `seconds`; *ended: one transfer that has ended, NULL = none yet.
ft_status ft_http_wait(ft_http *http, double seconds, ft_http_transfer **ended);
void ft_http_cancel(ft_http *http, ft_http_transfer *transfer);  // one that runs; it is not reported as ended

// A head's line ("Name: value\r\n"), taken over if it is one that is kept.
void ft_http_head_read(ft_http_head *head, const char *line, size_t n);
void ft_http_head_clear(ft_http_head *head);

#endif
