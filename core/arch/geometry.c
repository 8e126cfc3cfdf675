// Shapes of well-known models, for plans without a model directory. Sources: the config.json files of Llama-3.1-8B, -70B and
// -405B as published by Meta on Hugging Face.
#include <stdio.h>
#include <string.h>

#include "arch/families.h"

typedef struct {
    const char *name;
    int64_t hidden, ffn, layers, q_heads, kv_heads;
} geometry;

static const geometry geometries[] = {
    {"llama3-8b", 4096, 14336, 32, 32, 8},
    {"llama3-70b", 8192, 28672, 80, 64, 8},
    {"llama3-405b", 16384, 53248, 126, 128, 8},
};
enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

static ft_shape make_llama3(const geometry *g)
{
    return (ft_shape){
        .family = &ft_family_llama,
        .hidden = g->hidden, .ffn = g->ffn, .layers = g->layers, .q_heads = g->q_heads, .kv_heads = g->kv_heads,
        .head_dim = 128, .vocab = 128256, .max_positions = 131072, .norm_eps = 1e-5,
        .rope = FT_ROPE_LLAMA3, .rope_theta = 500000,
        .rope_factor = 8, .rope_low_freq = 1, .rope_high_freq = 4, .rope_original_positions = 8192,
        .dtype = FT_DTYPE_BF16, .bos_id = 128000, .eos_id = 128001, .pad_id = -1,
    };
}

ft_status ft_shape_geometry(ft_shape *shape, const char *name)
{
    char list[256] = "";
    for (int i = 0; i < GEOMETRIES; i++) {
        if (strcmp(geometries[i].name, name) == 0) {
            *shape = make_llama3(&geometries[i]);
            return FT_OK;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", geometries[i].name);
    }
    return ft_error(FT_E_NOT_FOUND, "no geometry is called '%s'; there are: %s", name, list);
}
