// When to ask again, and what to say when asking does not help: a row for each way in which the hub refuses.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/memory.h"
#include "io/http_url.h"
#include "io/hub_internal.h"

enum { ATTEMPTS = 6, ATTEMPTS_UNREACHABLE = 1 };
static const double first_wait_s = 0.5, longest_wait_s = 30, longest_asked_s = 300;

// ---- again

static bool passes(int code)
{
    return code == 408 || code == 429 || code == 500 || code == 502 || code == 503 || code == 504;
}

// FT_HTTP_RETRIES in a row without a byte, else six; one where no host was ever reached.
static int attempts_allowed(const ft_hub_request *r)
{
    const char *text = ft_hub_variable("FT_HTTP_RETRIES");
    if (text) return atoi(text);
    return r->transfer.unreachable && !r->client->answered ? ATTEMPTS_UNREACHABLE : ATTEMPTS;
}

// Between half of a time that doubles and all of it, so that clients which failed together do not come back together.
static double backoff(int attempts)
{
    double most_s = first_wait_s;
    for (int i = 0; i < attempts && most_s < longest_wait_s; i++) most_s *= 2;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return most_s * (0.5 + 0.5 * (double)(now.tv_nsec / 1000 % 1000) / 1000);
}

bool ft_hub_retry(const ft_hub_request *r, int attempts, double *wait_s)
{
    const ft_http_transfer *t = &r->transfer;
    bool again = t->status == FT_OK ? passes(t->code) : !t->final;
    double asked_s = t->head.retry_after_s;
    *wait_s = backoff(attempts);
    if (t->status == FT_OK && asked_s >= 0) *wait_s = asked_s < longest_asked_s ? asked_s : longest_asked_s;
    return again && attempts < attempts_allowed(r);
}

// ---- refusals

typedef struct {
    int code;               // 0 = any
    const char *error;      // X-Error-Code; NULL = any
    int with_token;         // sent: 1, 0; -1 = either
    const char *what;       // %s in it: the endpoint, then the repository's page below it
    ft_status status;
} refusal;

static const refusal refusals[] = {
    {0, "GatedRepo", 0, "gated: accept its conditions at %s/%s, then set HF_TOKEN to a token of that account", FT_E_INPUT},
    {0, "GatedRepo", 1, "gated, and this token's account has not been let in: accept its conditions at %s/%s (the token must be allowed to read gated repositories)",
     FT_E_INPUT},
    {0, "RevisionNotFound", -1, "no such revision; its branches and tags are at %s/%s", FT_E_INPUT},
    {0, "EntryNotFound", -1, "no such file; what there is: %s/%s", FT_E_INPUT},
    {401, "RepoNotFound", 0, "not found, or private: check the name (%s/%s), or set HF_TOKEN to a token that may read it", FT_E_INPUT},
    {0, "RepoNotFound", -1, "not found, or this token may not read it: check the name, and whether it is a model or a data set (%s/%s)", FT_E_INPUT},
    {401, NULL, 1, "the token is not valid: make one at %s/settings/tokens and set HF_TOKEN", FT_E_INPUT},
    {401, NULL, 0, "a token is needed: make one at %s/settings/tokens and set HF_TOKEN", FT_E_INPUT},
    {403, NULL, -1, "access refused: see %s/%s, and what the token is allowed to read", FT_E_INPUT},
    {404, NULL, -1, "not found at %s/%s", FT_E_INPUT},
    {416, NULL, -1, "the hub's file is shorter than its listing says (416): download again later", FT_E_IO},
    {429, NULL, -1, "the hub asks to slow down (429): try again in some minutes; what has arrived is kept", FT_E_IO},
};

static bool matches(const refusal *row, const ft_http_transfer *t, bool token)
{
    return (row->code == 0 || row->code == t->code) && (row->error == NULL || strcmp(row->error, t->head.error_code) == 0) &&
           (row->with_token < 0 || row->with_token == token);
}

// "ORG/NAME@REVISION" or "ORG/NAME: PATH".
static void name_subject(const ft_hub_subject *s, char *text, size_t room)
{
    bool main = s->revision == NULL || strcmp(s->revision, "main") == 0 || s->path;
    snprintf(text, room, "%s%s%s%s%s", s->repository, main ? "" : "@", main ? "" : s->revision, s->path ? ": " : "", s->path ? s->path : "");
}

static ft_status say(const ft_hub_request *r, const refusal *row)
{
    char name[512], id[256], what[1024];
    name_subject(&r->subject, name, sizeof name);
    snprintf(id, sizeof id, "%s%s", r->subject.kind == FT_HUB_DATASET ? "datasets/" : "", r->subject.repository);
    snprintf(what, sizeof what, row->what, r->client->endpoint, id);
    return ft_error(row->status, "%s: %s", name, what);
}

static ft_status refuse_network(const ft_hub_request *r)
{
    char name[512];
    name_subject(&r->subject, name, sizeof name);
    char *origin = ft_url_origin(r->url);
    ft_status status = ft_error(FT_E_IO, "%s: %s: %s; check the network (https_proxy, HF_ENDPOINT%s) and run it again: what has arrived is kept", name,
                                origin ? origin : "", r->transfer.message, r->transfer.final ? ", CURL_CA_BUNDLE" : "");
    ft_free(origin);
    return status;
}

ft_status ft_hub_refuse(const ft_hub_request *r)
{
    const ft_http_transfer *t = &r->transfer;
    char name[512];
    if (t->status != FT_OK) return refuse_network(r);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (matches(&refusals[i], t, t->token != NULL)) return say(r, &refusals[i]);
    name_subject(&r->subject, name, sizeof name);
    char *origin = ft_url_origin(r->url);
    ft_status status = ft_error(FT_E_IO, "%s: %s answers %d%s%s; try again later: what has arrived is kept", name, origin ? origin : "", t->code,
                                t->head.error_message[0] ? ", " : "", t->head.error_message);
    ft_free(origin);
    return status;
}

ft_status ft_hub_refuse_offline(const ft_hub_subject *subject)
{
    char name[512];
    name_subject(subject, name, sizeof name);
    return ft_error(FT_E_INPUT, "%s: HF_HUB_OFFLINE forbids asking the hub; unset it, or download where there is a network: ft-single download %s%s", name,
                    subject->kind == FT_HUB_DATASET ? "--dataset " : "", subject->repository);
}
