// One GET through its redirects and repetitions, as a state machine that a loop over many of them can drive.
//
//   first hop: the known link of the file, else `address` at the endpoint
//   3xx        -> the next hop; one that leaves the endpoint's origin is kept as the file's link
//   refused by a link (it has expired) -> the link is forgotten, once more from `address`
//   passing failures -> wait, then the rest of the range from the same hop
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/text.h"
#include "io/http_url.h"
#include "io/hub_internal.h"

enum { MAX_HOPS = 8, MAX_EXPIRIES = 3 };
static const double slice_s = 0.1;  // between looks at `cancel`

static char **link_of(const ft_hub_request *r)
{
    return r->file >= 0 && r->file < r->client->n_links ? &r->client->links[r->file] : NULL;
}

static bool at_endpoint(const ft_hub_request *r)
{
    return ft_url_same_origin(r->url, r->client->endpoint);
}

static ft_status on_body(ft_http_transfer *t, const void *data, size_t n)
{
    ft_hub_request *r = t->user;
    r->located = true;
    FT_TRY(r->sink(r->user, r->begin + r->done, data, n));
    r->done += (int64_t)n;
    return FT_OK;
}

// A text of unknown length begins again; a range goes on where it stopped.
static ft_status start(ft_hub_request *r)
{
    if (r->end == 0) r->done = 0;
    r->transfer.url = r->url;
    r->transfer.token = r->client->token && at_endpoint(r) ? r->client->token : NULL;
    r->transfer.offset = r->begin + r->done;
    r->transfer.bytes = r->end ? r->end - r->begin - r->done : 0;
    FT_ASSERT(r->end == 0 || r->transfer.bytes > 0, "nothing is left to ask for");
    r->transfer.body = on_body;
    r->transfer.user = r;
    FT_TRY(ft_http_start(r->client->http, &r->transfer));
    r->running = true;
    return FT_OK;
}

static ft_status set_url(ft_hub_request *r, char *url)
{
    FT_ALLOC_CHECK(url);
    ft_free(r->url);
    r->url = url;
    return FT_OK;
}

ft_status ft_hub_request_begin(ft_hub_request *r)
{
    char **link = link_of(r);
    FT_ALLOC_CHECK(r->address);
    FT_TRY(set_url(r, ft_strdup(link && *link ? *link : r->address)));
    return start(r);
}

void ft_hub_request_end(ft_hub_request *r)
{
    if (r->running) ft_http_cancel(r->client->http, &r->transfer);
    r->running = false;
    ft_free(r->url);
    ft_free(r->address);
    r->url = r->address = NULL;
}

// ---- after a transfer

static bool is_redirect(const ft_http_transfer *t)
{
    return t->status == FT_OK && t->code >= 300 && t->code < 400 && t->head.location[0];
}

// The hub names what it sends: X-Linked-Etag and -Size with a redirect, ETag without one. A copy elsewhere has tags of its own.
static ft_status check_identity(const ft_hub_request *r)
{
    const ft_http_head *head = &r->transfer.head;
    const char *hash = head->linked_etag[0] ? head->linked_etag : at_endpoint(r) ? head->etag : "";
    if (r->entry == NULL || r->transfer.code >= 400) return FT_OK;
    bool other = strlen(hash) == strlen(r->entry->hash) && strcmp(hash, r->entry->hash) != 0;
    bool longer = (head->linked_bytes >= 0 && head->linked_bytes != r->entry->bytes) || (head->range_total >= 0 && head->range_total != r->entry->bytes);
    if (!other && !longer) return FT_OK;
    return ft_error(FT_E_CORRUPT, "%s: %s: what the hub sends is not the file that it lists (%s); run it again", r->subject.repository, r->subject.path,
                    other ? "another hash" : "another length");
}

static ft_status follow(ft_hub_request *r)
{
    char *url;
    if (++r->hops > MAX_HOPS) return ft_error(FT_E_INPUT, "%s: more than %d redirects", r->subject.repository, MAX_HOPS);
    ft_status status = ft_url_join(r->url, r->transfer.head.location, &url);
    if (status != FT_OK) return ft_error_prefix(status, "%s", r->subject.repository);
    FT_TRY(set_url(r, url));
    char **link = link_of(r);
    if (link && !at_endpoint(r)) {
        ft_free(*link);
        *link = ft_strdup(r->url);
    }
    return start(r);
}

// A signed address is refused when it is old, also after an outage that has used up attempts: it has a count of its own.
static bool link_expired(const ft_hub_request *r)
{
    int code = r->transfer.code;
    return r->transfer.status == FT_OK && (code == 400 || code == 401 || code == 403 || code == 404 || code == 410) && !at_endpoint(r);
}

// Another request may have found a new one meanwhile.
static ft_status forget_link(ft_hub_request *r)
{
    char **link = link_of(r);
    if (link && *link && strcmp(*link, r->url) == 0) {
        ft_free(*link);
        *link = NULL;
    }
    r->hops = 0;
    return set_url(r, ft_strdup(link && *link ? *link : r->address));
}

static ft_status wait_or_refuse(ft_hub_request *r, ft_hub_state *state)
{
    double wait_s = 0;
    bool expired = link_expired(r);
    if (r->transfer.arrived > 0 && r->end) r->attempts = r->expiries = 0;  // of a text nothing is kept
    if (!ft_hub_retry(r, r->attempts, &wait_s) && !(expired && r->expiries < MAX_EXPIRIES)) return ft_hub_refuse(r);
    if (expired) FT_TRY(forget_link(r));
    r->expiries += expired;
    r->attempts += !expired;
    r->due_s = ft_now_s() + wait_s;
    ft_debug("%s: %s%s asked again in %.1f s (HTTP %d%s%s)", r->subject.repository, r->subject.path ? r->subject.path : "", r->subject.path ? " is" : "is",
             wait_s, r->transfer.code, r->transfer.message[0] ? ", " : "", r->transfer.message);
    *state = FT_HUB_WAITING;
    return FT_OK;
}

ft_status ft_hub_request_step(ft_hub_request *r, ft_hub_state *state)
{
    const ft_http_transfer *t = &r->transfer;
    *state = FT_HUB_RUNNING;
    if (!r->running) return start(r);
    r->running = false;
    if (t->code) r->client->answered = true;
    FT_TRY(check_identity(r));
    if (is_redirect(t)) return follow(r);
    if (t->status != FT_OK && t->status != FT_E_IO) return t->status;  // of the sink, with its message
    if (t->status == FT_E_IO && t->message[0] == 0) return t->status;
    bool whole = t->status == FT_OK && (t->code == 200 || t->code == 206);
    if (!whole) return wait_or_refuse(r, state);
    *state = FT_HUB_DONE;
    return FT_OK;
}

// ---- alone

static ft_status move(ft_hub_request *r, ft_hub_state *state)
{
    ft_http_transfer *ended;
    if (*state == FT_HUB_WAITING) {
        double left_s = r->due_s - ft_now_s();
        FT_TRY(ft_http_wait(r->client->http, left_s < slice_s ? left_s : slice_s, &ended));
        return ft_now_s() < r->due_s ? FT_OK : ft_hub_request_step(r, state);
    }
    FT_TRY(ft_http_wait(r->client->http, slice_s, &ended));
    return ended ? ft_hub_request_step(r, state) : FT_OK;
}

ft_status ft_hub_request_run(ft_hub_request *r, const volatile int *cancel)
{
    ft_hub_state state = FT_HUB_RUNNING;
    ft_status status = ft_hub_request_begin(r);
    while (status == FT_OK && state != FT_HUB_DONE) {
        if (ft_hub_cancelled(cancel)) status = ft_error(FT_E_STOPPED, "%s: stopped", r->subject.repository);
        else status = move(r, &state);
    }
    return status;
}
