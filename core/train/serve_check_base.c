// Rules on the base model an adapter is for: that it is named so that others find it, and that it is here to be compared with.
#include "common/memory.h"
#include "io/hub_cache.h"
#include "io/public_name.h"
#include "tokenizer/tokenizer.h"
#include "train/serve_check_internal.h"

static const char *named_base(const ft_serve_subject *s)
{
    const json_t *item = s->open & SERVE_CONFIG ? json_object_get(s->config, "base_model_name_or_path") : NULL;
    return json_string_length(item) > 0 ? json_string_value(item) : NULL;
}

// What a server is to be given: the id of what lies in a hub's cache.
static ft_status keep_base(ft_serve_report *report, const char *base)
{
    if (base == NULL) return FT_OK;
    report->base = ft_public_id(base);
    if (report->base == NULL) FT_ALLOC_CHECK(report->base = ft_strdup(base));
    return FT_OK;
}

static ft_status base_name(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const char *name = named_base(s);
    FT_TRY(keep_base(s->report, s->options->base ? s->options->base : name));
    if (name == NULL) return ft_serve_note(f, rule->remedy, "base_model_name_or_path is missing: AutoPeftModel cannot tell what to load");
    if (name[0] == '/') return ft_serve_note(f, rule->remedy, "base_model_name_or_path is a path of one machine: %.400s", name);
    if (!ft_hub_is_id(name)) return ft_serve_note(f, rule->remedy, "base_model_name_or_path is a relative path: %.400s", name);
    return ft_serve_ok(f, "%.400s", name);
}

static ft_status open_base(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const char *name = s->options->base ? s->options->base : named_base(s);
    if (name == NULL) return ft_serve_note(f, rule->remedy, "not known: shapes are compared with each other only");
    ft_status status = ft_hub_locate(FT_HUB_MODEL, name, NULL, &s->base_directory);
    if (status == FT_E_NOMEM) return status;
    if (status == FT_OK) status = ft_shape_read(&s->shape, s->base_directory);
    // A base that the user names must be right; one that the config names may simply be elsewhere.
    if (status != FT_OK && s->options->base) return ft_serve_fail_as(f, "give the base's directory with --model", status);
    if (status != FT_OK) return ft_serve_note(f, rule->remedy, "%.400s is not here: shapes are compared with each other only", name);
    s->open |= SERVE_SHAPE;
    return ft_serve_ok(f, "%s, %lld layers", s->shape.family->architecture, (long long)s->shape.layers);
}

ft_status ft_serve_tokenizer(ft_serve_finding *f, const char *directory, int64_t vocab)
{
    ft_tokenizer *tokenizer;
    ft_status status = ft_tokenizer_open(&tokenizer, directory);
    if (status != FT_OK) return ft_serve_fail_as(f, "copy the base's tokenizer files", status);
    int64_t ids = ft_tokenizer_vocab(tokenizer);
    ft_tokenizer_free(tokenizer);
    if (ids > vocab)
        return ft_serve_fail(f, "serve with the base's own tokenizer: an adapter cannot add tokens", "the tokenizer has %lld ids, the model %lld rows of embedding",
                             (long long)ids, (long long)vocab);
    return ft_serve_ok(f, "%lld ids of %lld", (long long)ids, (long long)vocab);
}

static bool has_tokenizer(const char *directory)
{
    return ft_serve_has_file(directory, "tokenizer.json") || ft_serve_has_file(directory, "tokenizer.model");
}

// The adapter's own tokenizer where it has one (trainers that add tokens write it), else the base's.
static ft_status tokenizer(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    if (has_tokenizer(s->options->directory)) return ft_serve_tokenizer(f, s->options->directory, s->shape.vocab);
    if (has_tokenizer(s->base_directory)) return ft_serve_tokenizer(f, s->base_directory, s->shape.vocab);
    return ft_serve_note(f, rule->remedy, "neither the adapter nor the base has one");
}

const ft_serve_rule ft_serve_base_rules[] = {
    {"base-name", 0, base_name, "PEFT auto.py", NULL, "before it is shared, set base_model_name_or_path to the base's hub id; vLLM goes by its own argument"},
    {"base", 0, open_base, "PEFT peft_model.py", NULL, "give the base's directory with --model"},
    {"tokenizer", SERVE_SHAPE, tokenizer, "vLLM config/lora.py", NULL, "add the base's tokenizer files"},
    {NULL},
};
