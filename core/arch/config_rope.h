// The rotary embedding of a config.json.
#ifndef FT_ARCH_CONFIG_ROPE_H
#define FT_ARCH_CONFIG_ROPE_H

#include "arch/config_fields.h"
#include "arch/shape.h"

// Reads rope_parameters (transformers 5) or rope_scaling, and rope_theta from there or from the top level (default 10000).
ft_status ft_config_rope(ft_shape *shape, const ft_fields *config);

#endif
