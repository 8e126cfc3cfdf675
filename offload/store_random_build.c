// A store of random weights on drives: the build of `prepare` with records that are made up (store_random.c), so a killed one
// continues, and what stands in the end is a store like any other. Its manifest names no file; its source is a description.
#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "offload/store_internal.h"
#include "offload/store_random.h"

// The same config.json text, format and seed give the same bytes, in this version of the layout.
ft_status ft_store_random_id(const char *config, ft_base_format format, uint64_t seed, char id[FT_HASH_TEXT])
{
    ft_hasher *hasher;
    char head[96];
    FT_TRY(ft_hasher_new(&hasher));
    snprintf(head, sizeof head, "ft-store random %d %s %llu", FT_STORE_LAYOUT_VERSION, ft_base_format_name(format), (unsigned long long)seed);
    ft_hasher_add(hasher, head, strlen(head) + 1);
    ft_hasher_add(hasher, config, strlen(config));
    ft_hash128_text(ft_hasher_finish(hasher), id);
    ft_hasher_free(hasher);
    return FT_OK;
}

static ft_status describe(ft_store_source *source, const char *config, ft_base_format format, uint64_t seed)
{
    FT_TRY(ft_shape_parse(&source->shape, config, "config of random weights"));
    const ft_shape *shape = &source->shape;
    source->directory = ft_format("random weights: %s, %lld layers of %lld x %lld, seed %llu", shape->family->model_type, (long long)shape->layers,
                                  (long long)shape->hidden, (long long)shape->ffn, (unsigned long long)seed);
    FT_ALLOC_CHECK(source->directory);
    source->config = ft_strdup(config);
    FT_ALLOC_CHECK(source->config);
    return ft_layout_make(&source->layout, shape, format, NULL, NULL);
}

static ft_status build_random(ft_store_build *build, const char *config, uint64_t seed, const char id[FT_HASH_TEXT], bool *made)
{
    ft_store *random;
    ft_base_format format = build->options->format;
    FT_TRY(describe(&build->source, config, format, seed));
    FT_TRY(ft_store_open_random(&random, &build->source.shape, format, seed));
    build->random = random;
    ft_status status = ft_store_build_run(build, id, made);
    ft_store_close(random);
    return status;
}

ft_status ft_store_prepare_random(const char *config, uint64_t seed, const ft_store_options *options, const volatile int *cancel,
                                  char id[FT_HASH_TEXT], bool *made)
{
    *made = false;
    FT_TRY(ft_store_random_id(config, options->format, seed, id));
    ft_store_build *build = ft_store_build_new(options, cancel);
    FT_ALLOC_CHECK(build);
    ft_status status = build_random(build, config, seed, id, made);
    ft_store_build_free(build);
    return status;
}
