// Shapes of well-known models, for plans without a model directory. Sources: the config.json files that Meta, Mistral AI, Qwen
// and Hugging Face publish with the weights.
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "arch/families.h"

#define LLAMA31(hidden_, ffn_, layers_, heads) \
    {.family = &ft_family_llama, .hidden = hidden_, .ffn = ffn_, .layers = layers_, .q_heads = heads, .kv_heads = 8, .head_dim = 128, \
     .vocab = 128256, .max_positions = 131072, .norm_eps = 1e-5, .rope = FT_ROPE_LLAMA3, .rope_theta = 500000, .rope_factor = 8, \
     .rope_low_freq = 1, .rope_high_freq = 4, .rope_original_positions = 8192, .dtype = FT_DTYPE_BF16, .bos_id = 128000, \
     .eos_id = 128001, .pad_id = -1}
#define MISTRAL7B(vocab_, theta, window_) \
    {.family = &ft_family_mistral, .hidden = 4096, .ffn = 14336, .layers = 32, .q_heads = 32, .kv_heads = 8, .head_dim = 128, \
     .vocab = vocab_, .max_positions = 32768, .norm_eps = 1e-5, .rope_theta = theta, .window = window_, .dtype = FT_DTYPE_BF16, \
     .bos_id = 1, .eos_id = 2, .pad_id = -1}
#define QWEN3(hidden_, ffn_, layers_, heads) \
    {.family = &ft_family_qwen3, .hidden = hidden_, .ffn = ffn_, .layers = layers_, .q_heads = heads, .kv_heads = 8, .head_dim = 128, \
     .vocab = 151936, .max_positions = 40960, .norm_eps = 1e-6, .rope_theta = 1000000, .qk_norm = true, .dtype = FT_DTYPE_BF16, \
     .bos_id = 151643, .eos_id = 151645, .pad_id = -1}

// `repositories`: stems of hub names, in lower case, without "meta-" and without the variant's suffixes; NULL-terminated.
typedef struct {
    const char *name;
    const char *repositories[5];
    ft_shape shape;
} geometry;

static const geometry geometries[] = {
    {"llama3-8b", {"llama-3.1-8b", "llama-3-8b"}, LLAMA31(4096, 14336, 32, 32)},
    {"llama3-70b", {"llama-3.1-70b", "llama-3.3-70b", "llama-3-70b"}, LLAMA31(8192, 28672, 80, 64)},
    {"llama3-405b", {"llama-3.1-405b"}, LLAMA31(16384, 53248, 126, 128)},
    {"llama2-7b", {"llama-2-7b"},
     {.family = &ft_family_llama, .hidden = 4096, .ffn = 11008, .layers = 32, .q_heads = 32, .kv_heads = 32, .head_dim = 128,
      .vocab = 32000, .max_positions = 4096, .norm_eps = 1e-5, .rope_theta = 10000, .dtype = FT_DTYPE_F16, .bos_id = 1, .eos_id = 2,
      .pad_id = -1}},
    {"smollm2-135m", {"smollm2-135m"},
     {.family = &ft_family_llama, .hidden = 576, .ffn = 1536, .layers = 30, .q_heads = 9, .kv_heads = 3, .head_dim = 64,
      .vocab = 49152, .max_positions = 8192, .norm_eps = 1e-5, .rope_theta = 100000, .tied = true, .dtype = FT_DTYPE_BF16,
      .bos_id = 0, .eos_id = 0, .pad_id = -1}},
    {"mistral-7b", {"mistral-7b-v0.3", "mistral-7b-instruct-v0.3"}, MISTRAL7B(32768, 1000000, 0)},
    {"mistral-7b-v0.1", {"mistral-7b-v0.1", "mistral-7b-instruct-v0.1"}, MISTRAL7B(32000, 10000, 4096)},
    {"qwen2.5-32b", {"qwen2.5-32b"},
     {.family = &ft_family_qwen2, .hidden = 5120, .ffn = 27648, .layers = 64, .q_heads = 40, .kv_heads = 8, .head_dim = 128,
      .vocab = 152064, .max_positions = 131072, .norm_eps = 1e-5, .rope_theta = 1000000, .qkv_bias = true, .dtype = FT_DTYPE_BF16,
      .bos_id = 151643, .eos_id = 151643, .pad_id = -1}},
    {"qwen3-8b", {"qwen3-8b"}, QWEN3(4096, 12288, 36, 32)},
    {"qwen3-32b", {"qwen3-32b"}, QWEN3(5120, 25600, 64, 64)},
};
enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

ft_status ft_shape_geometry(ft_shape *shape, const char *name)
{
    char list[256] = "";
    for (int i = 0; i < GEOMETRIES; i++) {
        if (strcmp(geometries[i].name, name) == 0) {
            *shape = geometries[i].shape;
            return FT_OK;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", geometries[i].name);
    }
    return ft_error(FT_E_NOT_FOUND, "no geometry is called '%s'; there are: %s", name, list);
}

// What may follow a stem without changing the sizes: kinds of tuning, and forms in which the same weights are published.
static bool is_variant(const char *word, size_t length)
{
    static const char *const words[] = {"instruct", "chat", "base", "hf",   "fp8",  "bf16", "dynamic", "awq",
                                        "gptq",     "int4", "int8", "bnb",  "4bit", "8bit", "gguf",    "it",  "nf4",  "fp16"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length && memcmp(words[i], word, length) == 0) return true;
    return false;
}

static bool only_variants(const char *rest)
{
    while (*rest == '-') {
        size_t length = strcspn(++rest, "-");
        if (!is_variant(rest, length)) return false;
        rest += length;
    }
    return *rest == '\0';
}

// "org/Name", "models--org--Name" (a hub cache's directory, anywhere in a path) or "Name" -> "name".
static void model_part(const char *repository, char *part, size_t room)
{
    const char *cache = strstr(repository, "models--"), *at = cache != NULL ? cache : repository, *next;
    size_t length = cache != NULL ? strcspn(cache, "/") : strlen(repository);
    while (cache == NULL && length > 0 && at[length - 1] == '/') length--;
    const char *separator = cache != NULL ? "--" : "/", *end = at + length;
    while ((next = strstr(at, separator)) != NULL && next + strlen(separator) <= end - 1) at = next + strlen(separator);
    if (end - at > 5 && strncasecmp(at, "meta-", 5) == 0) at += 5;
    size_t n = 0;
    for (; at + n < end && n + 1 < room; n++) part[n] = (char)tolower((unsigned char)at[n]);
    part[n] = '\0';
}

const char *ft_geometry_for_repository(const char *name)
{
    char part[128];
    model_part(name, part, sizeof part);
    for (int i = 0; i < GEOMETRIES; i++) {
        for (const char *const *stem = geometries[i].repositories; *stem != NULL; stem++) {
            size_t length = strlen(*stem);
            if (strncmp(part, *stem, length) == 0 && only_variants(part + length)) return geometries[i].name;
        }
    }
    return NULL;
}
