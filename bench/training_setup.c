// Before a benchmarked training opens: settings of its own, options that would be ignored refused, the model's config.json, and on
// drives a store of random weights.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/training.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "offload/store_random.h"

#define TIER "--tier"  // the source of a placement set by it

enum { ALIAS_LEAST = 8 };  // fewer layers lie in the processor's caches, from where they are copied faster than from memory

// ---- what is refused

static ft_status check_model(const ft_bench_training *t)
{
    const ft_config *c = &t->settings->values;
    if (c->base_model && t->options->geometry) return ft_error(FT_E_USAGE, "--geometry and base_model %s: give one", c->base_model);
    if (c->base_model && c->nvme.n > 0 && t->options->layers > 0)
        return ft_error(FT_E_USAGE, "--layers: base_model on drives is taken as it is, with all its layers");
    return FT_OK;
}

static ft_status check_placement(const ft_bench_training *t)
{
    const ft_bench_options *o = t->options;
    bool drives = t->settings->values.nvme.n > 0;
    bool placed = ft_settings_given(t->settings, "base_placement") && strcmp(ft_settings_source(t->settings, "base_placement"), TIER) != 0;
    if (o->tier && placed) return ft_error(FT_E_USAGE, "--tier and --base-placement: give one");
    if (o->tier && strcmp(o->tier, "nvme") == 0 && !drives)
        return ft_error(FT_E_USAGE, "--tier nvme: give --nvme DIR[,DIR...], where a store of random weights is written");
    if (o->keep_store && (!drives || t->settings->values.base_model))
        return ft_error(FT_E_USAGE, "--keep-store: only random weights on drives are a store of their own; give --nvme DIR and no base_model");
    if (o->alias > 0 && drives) return ft_error(FT_E_USAGE, "--alias: the layers of a store are all there; leave --nvme out");
    if (o->alias > 0 && o->tier && strcmp(o->tier, "hbm") == 0)
        return ft_error(FT_E_USAGE, "--alias: only layers in host memory stand for others; leave it out with --tier hbm");
    return FT_OK;
}

static ft_status check_alias(const ft_bench_training *t)
{
    ft_shape shape;
    int64_t alias = t->options->alias;
    if (alias == 0) return FT_OK;
    FT_TRY(ft_shape_read(&shape, t->settings->values.base_model));
    if (alias >= ALIAS_LEAST || alias >= shape.layers) return FT_OK;
    return ft_error(FT_E_USAGE, "--alias %lld: at least %d layers, or all %lld, are real: fewer stay in the processor's caches, and copies from there "
                    "are not copies from memory", (long long)alias, ALIAS_LEAST, (long long)shape.layers);
}

// ---- settings

static ft_status set_default(ft_settings *settings, const char *key, const char *value)
{
    return ft_settings_given(settings, key) ? FT_OK : ft_settings_set(settings, key, value, "ft-bench");
}

static ft_status set_tier(ft_bench_training *t)
{
    static const char *const tiers[] = {"hbm", "host", "nvme", "plan"}, *const placements[] = {"hbm", "host", "nvme", "auto"};
    const char *tier = t->options->tier;
    if (tier == NULL) return FT_OK;
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++)
        if (strcmp(tier, tiers[i]) == 0) return ft_settings_set(t->settings, "base_placement", placements[i], TIER);
    return ft_error(FT_E_USAGE, "--tier %s: hbm, host, nvme or plan", tier);
}

// Where weights may be streamed the base is what `train` streams, else what is multiplied.
static ft_status set_defaults(ft_bench_training *t)
{
    ft_settings *s = t->settings;
    char alpha[32];
    bool streams = t->options->tier || t->options->alias > 0 || s->values.nvme.n > 0;
    snprintf(alpha, sizeof alpha, "%lld", (long long)(2 * s->values.lora_r));
    FT_TRY(set_default(s, "sequence_len", "512"));
    FT_TRY(set_default(s, "micro_batch_size", "4"));
    if (!streams) FT_TRY(set_default(s, "base_format", strcmp(s->values.compute, "fp8") == 0 ? "fp8" : "bf16"));
    return set_default(s, "lora_alpha", alpha);
}

// ---- files

// A directory of our own on each drive.
static ft_status own_drives(ft_bench_training *t, const char *name)
{
    const ft_string_list *nvme = &t->settings->values.nvme;
    for (int i = 0; i < nvme->n; i++) {
        char *path = ft_path_join(nvme->items[i], name), *list = NULL;
        if (path) list = t->drives ? ft_format("%s,%s", t->drives, path) : ft_strdup(path);
        ft_status status = list ? ft_make_directories(path) : FT_E_NOMEM;
        ft_free(path);
        if (list) {
            ft_free(t->drives);
            t->drives = list;
        }
        FT_TRY(status);
    }
    return ft_settings_set(t->settings, "nvme", t->drives, "ft-bench");
}

// The model's config.json, and the run's model is its directory. base_model on drives stays what it is.
static ft_status make_model(ft_bench_training *t, int64_t layers)
{
    char name[64];
    const char *temporary = getenv("TMPDIR"), *model = t->settings->values.base_model;
    ft_bench_options options = *t->options;
    if (layers > 0) options.layers = layers;
    snprintf(name, sizeof name, "ft-bench-%lld", (long long)(ft_now_s() * 1e6));
    if (model && t->settings->values.nvme.n > 0) return own_drives(t, name);
    t->directory = ft_format("%s/%s", temporary && *temporary ? temporary : "/tmp", name);
    FT_ALLOC_CHECK(t->directory);
    FT_TRY(ft_make_directories(t->directory));
    if (model) FT_TRY(ft_bench_copy_config(model, options.layers, t->directory));
    else FT_TRY(ft_bench_write_config(&options, t->directory));
    return ft_settings_set(t->settings, "base_model", t->directory, "ft-bench");
}

// The session would make it, too: here we see whether it was there.
static ft_status make_store(ft_bench_training *t)
{
    const ft_config *c = &t->settings->values;
    ft_store_options options = {.nvme = (const char *const *)c->nvme.items, .n_nvme = c->nvme.n,
                                .format = ft_config_base_format(c),
                                .io = {.engine = c->io_engine, .depth = (int)c->io_depth, .chunk_bytes = (uint32_t)c->io_chunk}};
    ft_shape shape;
    char *text;
    bool made = false;
    if (c->nvme.n == 0 || t->drives) return FT_OK;
    for (int i = 0; i < c->nvme.n; i++) FT_TRY(ft_make_directory(c->nvme.items[i]));
    FT_TRY(ft_shape_read_text(&shape, c->base_model, &text));
    double start = ft_now_s();
    ft_status status = ft_store_prepare_random(text, (uint64_t)c->seed, &options, NULL, t->store, &made);
    ft_free(text);
    t->remove_store = made && !t->options->keep_store;
    if (status == FT_OK && made) ft_info("store %s of random weights: written in %.1f s", t->store, ft_now_s() - start);
    else if (status == FT_OK) ft_info("store %s of random weights: found", t->store);
    return status;
}

ft_status ft_bench_training_setup(ft_bench_training *t, int64_t layers)
{
    FT_TRY(check_model(t));
    FT_TRY(check_placement(t));
    FT_TRY(set_tier(t));
    FT_TRY(set_defaults(t));
    if (t->settings->values.base_model) FT_TRY(ft_config_locate_model(t->settings));
    FT_TRY(make_model(t, layers));
    FT_TRY(check_alias(t));
    return make_store(t);
}

static void remove_drives(char *list)
{
    char *rest = NULL;
    for (char *path = list ? strtok_r(list, ",", &rest) : NULL; path; path = strtok_r(NULL, ",", &rest)) ft_remove_tree(path);
}

void ft_bench_training_clean(ft_bench_training *t)
{
    const ft_string_list *nvme = &t->settings->values.nvme;
    if (t->remove_store && ft_store_remove((const char *const *)nvme->items, nvme->n, t->store) != FT_OK) ft_warn("%s", ft_error_message());
    if (t->directory) ft_remove_tree(t->directory);
    remove_drives(t->drives);
    ft_free(t->directory);
    ft_free(t->drives);
}
