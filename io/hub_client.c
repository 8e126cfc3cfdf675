// The environment, and the client of a listing.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hub_internal.h"

#define MAX_TOKEN_BYTES 4096

static const volatile int *_Atomic process_cancel;

void ft_hub_set_cancel(const volatile int *cancel)
{
    process_cancel = cancel;
}

bool ft_hub_cancelled(const volatile int *cancel)
{
    const volatile int *whole = process_cancel;
    return (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED)) || (whole && __atomic_load_n(whole, __ATOMIC_RELAXED));
}

const char *ft_hub_variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

bool ft_hub_truth(const char *name)
{
    static const char *const words[] = {"1", "ON", "YES", "TRUE"};
    const char *value = getenv(name);
    for (size_t i = 0; value && i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(value, words[i]) == 0) return true;
    return false;
}

bool ft_hub_offline(void)
{
    return ft_hub_truth("HF_HUB_OFFLINE") || ft_hub_truth("TRANSFORMERS_OFFLINE");
}

// ---- the token

char *ft_hub_token_path(void)
{
    const char *path = ft_hub_variable("HF_TOKEN_PATH"), *home = ft_hub_variable("HF_HOME"), *xdg = ft_hub_variable("XDG_CACHE_HOME");
    if (path) return ft_strdup(path);
    if (home) return ft_path_join(home, "token");
    if (xdg) return ft_path_join(xdg, "huggingface/token");
    return ft_path_join(ft_hub_variable("HOME") ? ft_hub_variable("HOME") : "", ".cache/huggingface/token");
}

// Without the white space around it; NULL if nothing is left. It becomes a line of a request's head, so it may not hold another.
static ft_status clean_token(const char *text, const char *where, char **token)
{
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)*text)) text++, n--;
    while (n > 0 && isspace((unsigned char)text[n - 1])) n--;
    for (size_t i = 0; i < n; i++)
        if (!isgraph((unsigned char)text[i])) return ft_error(FT_E_INPUT, "%s: does not hold a token (a character that no token has)", where);
    *token = n ? ft_strndup(text, n) : NULL;
    return n && *token == NULL ? FT_E_NOMEM : FT_OK;
}

static ft_status token_of_file(char **token)
{
    char *path = ft_hub_token_path(), *text = NULL;
    size_t bytes;
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_exists(path) ? ft_file_read(path, MAX_TOKEN_BYTES, &text, &bytes) : FT_E_NOT_FOUND;
    if (status == FT_OK) status = clean_token(text, path, token);
    else if (status == FT_E_NOT_FOUND) status = FT_OK;
    ft_free(text);
    ft_free(path);
    return status;
}

ft_status ft_hub_token(char **token)
{
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    *token = NULL;
    if (ft_hub_truth("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return FT_OK;
    for (size_t i = 0; i < 2; i++)
        if (ft_hub_variable(names[i])) return clean_token(getenv(names[i]), names[i], token);
    return token_of_file(token);
}

// ---- clients

static ft_status find_endpoint(char **endpoint)
{
    const char *text = ft_hub_variable("HF_ENDPOINT");
    if (text == NULL) text = "https://huggingface.co";
    if (strncasecmp(text, "https://", 8) != 0 && strncasecmp(text, "http://", 7) != 0)
        return ft_error(FT_E_USAGE, "HF_ENDPOINT: an address that begins with https:// is needed");
    if (strchr(text, '@')) return ft_error(FT_E_USAGE, "HF_ENDPOINT: a name or a password does not belong there; the token goes into HF_TOKEN");
    const char *host = strstr(text, "://") + 3;  // without one, curl would take the first word of a path for it
    if (host[0] == 0 || host[0] == '/' || strpbrk(host, "?#")) return ft_error(FT_E_USAGE, "HF_ENDPOINT: not the address of a hub (https://HOST[/PATH])");
    *endpoint = ft_strdup(text);
    FT_ALLOC_CHECK(*endpoint);
    for (size_t n = strlen(*endpoint); n > 0 && (*endpoint)[n - 1] == '/'; n--) (*endpoint)[n - 1] = 0;
    return FT_OK;
}

ft_status ft_hub_client_open(ft_hub_client **out, int connections)
{
    *out = NULL;
    ft_hub_client *client = FT_NEW(ft_hub_client);
    FT_ALLOC_CHECK(client);
    ft_status status = find_endpoint(&client->endpoint);
    if (status == FT_OK) status = ft_hub_token(&client->token);
    if (status == FT_OK) status = ft_hub_client_connect(client, connections);
    if (status == FT_OK) *out = client;
    else ft_hub_client_close(client);
    return status;
}

ft_status ft_hub_client_connect(ft_hub_client *client, int connections)
{
    if (client->http && client->connections == connections) return FT_OK;
    ft_http_close(client->http);
    client->connections = connections;
    return ft_http_open(&client->http, connections);
}

void ft_hub_client_close(ft_hub_client *client)
{
    if (client == NULL) return;
    ft_http_close(client->http);
    for (int i = 0; i < client->n_links; i++) ft_free(client->links[i]);
    ft_free(client->links);
    ft_free(client->endpoint);
    if (client->token) explicit_bzero(client->token, strlen(client->token));
    ft_free(client->token);
    ft_free(client);
}
