// Fields of a config.json that change what the model computes and are not implemented.
#ifndef FT_ARCH_CONFIG_REFUSE_H
#define FT_ARCH_CONFIG_REFUSE_H

#include "arch/config_fields.h"
#include "arch/shape.h"

// FT_E_UNSUPPORTED naming the first such field and its value.
ft_status ft_config_refuse(const ft_fields *config, const ft_family *family);

#endif
