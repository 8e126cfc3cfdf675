// Addresses: where they lead, what may be said of them.
#ifndef FT_IO_HTTP_URL_H
#define FT_IO_HTTP_URL_H

#include "common/status.h"

// Same scheme, host and port (the scheme's own where none is given): the only places a token may go. False for what is no address.
bool ft_url_same_origin(const char *a, const char *b);
// `location` as seen from `base` (it may be relative); heap. FT_E_INPUT if that is no http or https address, or leads from https to http.
ft_status ft_url_join(const char *base, const char *location, char **url);
// A path with everything but letters, digits and -_.~ escaped; `slashes`: / too. Heap, NULL without memory.
char *ft_url_escape(const char *path, bool slashes);
// Scheme, host and port alone, "https://host": what a message may hold of a signed address. Heap, NULL without memory.
char *ft_url_origin(const char *url);

#endif
