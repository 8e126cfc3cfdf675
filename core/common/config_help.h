// What the value of a config key may be, in words. Both texts of ft_config_help (common/config.h) and the manual say it so.
#ifndef FT_COMMON_CONFIG_HELP_H
#define FT_COMMON_CONFIG_HELP_H

#include "common/config.h"

// Appends "tokens, at least 0", "fp8, bf16" or "path"; of an ignored key what is accepted. FT_E_NOMEM only.
ft_status ft_config_key_type(const ft_config_key *key, ft_text *out);

#endif
