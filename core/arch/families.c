#include "arch/families.h"

#include <string.h>

const ft_family *const ft_families[] = {&ft_family_llama, &ft_family_mistral, &ft_family_qwen2, &ft_family_qwen3, NULL};

const ft_family *ft_family_find(const char *architecture, const char *model_type)
{
    for (const ft_family *const *family = ft_families; *family != NULL; family++) {
        bool same = architecture != NULL ? strcmp((*family)->architecture, architecture) == 0
                                         : model_type != NULL && strcmp((*family)->model_type, model_type) == 0;
        if (same) return *family;
    }
    return NULL;
}
