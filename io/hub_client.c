// The client of a listing.
#include <string.h>
#include <strings.h>

#include "common/memory.h"
#include "io/hub_internal.h"

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
