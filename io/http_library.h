// libcurl, loaded when the first download asks for it: a machine that downloads nothing needs none.
#ifndef FT_IO_HTTP_LIBRARY_H
#define FT_IO_HTTP_LIBRARY_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "common/status.h"

// The functions that are used: return type, name without "curl_", parameters.
#define FT_CURL_FUNCTIONS(X)                                                                      \
    X(char *, version, (void))                                                                    \
    X(CURLcode, global_init, (long flags))                                                        \
    X(CURL *, easy_init, (void))                                                                  \
    X(void, easy_cleanup, (CURL *easy))                                                           \
    X(void, easy_reset, (CURL *easy))                                                             \
    X(CURLcode, easy_setopt, (CURL *easy, CURLoption option, ...))                                \
    X(CURLcode, easy_getinfo, (CURL *easy, CURLINFO info, ...))                                   \
    X(const char *, easy_strerror, (CURLcode code))                                               \
    X(struct curl_slist *, slist_append, (struct curl_slist *list, const char *text))             \
    X(void, slist_free_all, (struct curl_slist *list))                                            \
    X(CURLM *, multi_init, (void))                                                                \
    X(CURLMcode, multi_cleanup, (CURLM *multi))                                                   \
    X(CURLMcode, multi_setopt, (CURLM *multi, CURLMoption option, ...))                           \
    X(CURLMcode, multi_add_handle, (CURLM *multi, CURL *easy))                                    \
    X(CURLMcode, multi_remove_handle, (CURLM *multi, CURL *easy))                                 \
    X(CURLMcode, multi_perform, (CURLM *multi, int *running))                                     \
    X(CURLMcode, multi_poll, (CURLM *multi, struct curl_waitfd *extra, unsigned n, int ms, int *ready)) \
    X(CURLMsg *, multi_info_read, (CURLM *multi, int *left))                                      \
    X(CURLU *, url, (void))                                                                       \
    X(void, url_cleanup, (CURLU *url))                                                            \
    X(CURLUcode, url_get, (CURLU *url, CURLUPart part, char **text, unsigned flags))              \
    X(CURLUcode, url_set, (CURLU *url, CURLUPart part, const char *text, unsigned flags))         \
    X(void, free, (void *pointer))

typedef struct {
#define FT_CURL_MEMBER(type, name, parameters) type(*name) parameters;
    FT_CURL_FUNCTIONS(FT_CURL_MEMBER)
#undef FT_CURL_MEMBER
} ft_curl;

// Any thread. FT_E_UNSUPPORTED names the package to install.
ft_status ft_curl_load(const ft_curl **curl);

#endif
