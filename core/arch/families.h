// The rows of ft_families, one file each.
#ifndef FT_ARCH_FAMILIES_H
#define FT_ARCH_FAMILIES_H

#include "arch/shape.h"

extern const ft_family ft_family_llama;

// By architecture, or by model_type where `architecture` is NULL. NULL if there is none.
const ft_family *ft_family_find(const char *architecture, const char *model_type);

#endif
