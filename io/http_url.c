#include "io/http_url.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"
#include "io/http_library.h"

typedef struct {
    char scheme[16], host[256], port[8];
} origin;

static bool get_part(const ft_curl *curl, CURLU *url, CURLUPart part, char *place, size_t room)
{
    char *text = NULL;
    bool good = curl->url_get(url, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK && strlen(text) < room;
    if (good) snprintf(place, room, "%s", text);
    curl->free(text);
    return good;
}

static bool parse(const char *text, origin *out)
{
    const ft_curl *curl;
    if (ft_curl_load(&curl) != FT_OK) return false;
    CURLU *url = curl->url();
    bool good = url && curl->url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK && get_part(curl, url, CURLUPART_SCHEME, out->scheme, sizeof out->scheme) &&
                get_part(curl, url, CURLUPART_HOST, out->host, sizeof out->host) && get_part(curl, url, CURLUPART_PORT, out->port, sizeof out->port);
    curl->url_cleanup(url);
    return good;
}

bool ft_url_same_origin(const char *a, const char *b)
{
    origin x, y;
    return parse(a, &x) && parse(b, &y) && strcasecmp(x.scheme, y.scheme) == 0 && strcasecmp(x.host, y.host) == 0 && strcmp(x.port, y.port) == 0;
}

char *ft_url_origin(const char *url)
{
    origin o;
    if (!parse(url, &o)) return ft_strdup("the hub");
    bool plain = strcmp(o.port, strcasecmp(o.scheme, "https") == 0 ? "443" : "80") == 0;
    return ft_format("%s://%s%s%s", o.scheme, o.host, plain ? "" : ":", plain ? "" : o.port);
}

static ft_status join(const ft_curl *curl, CURLU *url, const char *base, const char *location, char **out)
{
    char *text = NULL;
    if (curl->url_set(url, CURLUPART_URL, base, 0) != CURLUE_OK || curl->url_set(url, CURLUPART_URL, location, 0) != CURLUE_OK ||
        curl->url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return ft_error(FT_E_INPUT, "a redirect leads to what is no address: check HF_ENDPOINT and the proxy");
    *out = ft_strdup(text);
    curl->free(text);
    return *out ? FT_OK : FT_E_NOMEM;
}

static ft_status check_scheme(const char *base, const char *url)
{
    bool secure = strncasecmp(url, "https://", 8) == 0;
    if (secure || (strncasecmp(url, "http://", 7) == 0 && strncasecmp(base, "https://", 8) != 0)) return FT_OK;
    return ft_error(FT_E_INPUT, "a redirect leads away from https, refused: check HF_ENDPOINT and the proxy");
}

ft_status ft_url_join(const char *base, const char *location, char **url)
{
    const ft_curl *curl;
    *url = NULL;
    FT_TRY(ft_curl_load(&curl));
    CURLU *parts = curl->url();
    ft_status status = parts ? join(curl, parts, base, location, url) : FT_E_NOMEM;
    curl->url_cleanup(parts);
    if (status == FT_OK) status = check_scheme(base, *url);
    if (status == FT_OK) return FT_OK;
    ft_free(*url);
    *url = NULL;
    return status;
}

char *ft_url_escape(const char *path, bool slashes)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = ft_malloc(3 * strlen(path) + 1), *at = out;
    if (out == NULL) return NULL;
    for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
        if (isalnum(*c) || strchr("-_.~", *c) || (*c == '/' && !slashes)) {
            *at++ = (char)*c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[*c >> 4];
        *at++ = digits[*c & 15];
    }
    *at = 0;
    return out;
}
