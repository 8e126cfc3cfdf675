// What the environment says of the hub: whether it may be asked, the token, where the cache lies.
#ifndef FT_IO_HUB_ENVIRONMENT_H
#define FT_IO_HUB_ENVIRONMENT_H

#include "common/status.h"

const char *ft_hub_variable(const char *name);  // NULL if unset or empty
bool ft_hub_offline(void);                      // HF_HUB_OFFLINE
char *ft_hub_cache_directory(void);             // as io/hub_cache.h says; heap, NULL when out of memory
// The user's token, heap, *token NULL if there is none. FT_E_INPUT if what is there is none, without showing it.
ft_status ft_hub_token(char **token);
// The file it is read from where no variable holds one. Heap; NULL when out of memory.
char *ft_hub_token_path(void);

#endif
