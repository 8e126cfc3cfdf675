#include "train/lr_scale.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/trainer.h"

typedef struct {
    const char *name, *function;  // in lr_scale; in the formula that is shown
    double power;
} scaling;

static const scaling scalings[] = {{"sqrt", "sqrt", 0.5}, {"linear", "", 1}};

// NULL: none.
static const scaling *find_rule(const char *name)
{
    for (size_t i = 0; i < sizeof scalings / sizeof scalings[0]; i++)
        if (name && strcmp(name, scalings[i].name) == 0) return &scalings[i];
    return NULL;
}

// "run.yaml:7: lr_reference", "--lr-reference".
static const char *where(char buffer[512], const ft_settings *settings, const char *key)
{
    const char *source = ft_settings_source(settings, key);
    if (strncmp(source, "--", 2) == 0) snprintf(buffer, 512, "%.400s", source);
    else snprintf(buffer, 512, "%.400s: %s", source, key);
    return buffer;
}

// A reference that nothing would read.
static ft_status check_unused(const ft_settings *settings)
{
    char place[512];
    const ft_config *config = &settings->values;
    const char *key = config->lr_reference > 0 ? "lr_reference" : config->lr_reference_tokens > 0 ? "lr_reference_tokens" : NULL;
    if (key == NULL) return FT_OK;
    return ft_error(FT_E_USAGE, "%s does nothing without a rule: add lr_scale: sqrt (or linear), or leave it out", where(place, settings, key));
}

static ft_status check_reference(const ft_settings *settings, const scaling *rule)
{
    char place[512];
    const ft_config *config = &settings->values;
    const char *key = config->lr_reference <= 0 ? "lr_reference" : config->lr_reference_tokens <= 0 ? "lr_reference_tokens" : NULL;
    if (key == NULL) return FT_OK;
    return ft_error(FT_E_USAGE, "%s %s needs %s, above 0: %s", where(place, settings, "lr_scale"), rule->name, key,
                    config->lr_reference <= 0 ? "the learning rate to start from" : "tokens of an optimizer step at which lr_reference is good");
}

ft_status ft_lr_scale_check(const ft_settings *settings)
{
    char scale[512], rate[512];
    const scaling *rule = find_rule(settings->values.lr_scale);
    if (rule == NULL) return check_unused(settings);
    if (ft_settings_given(settings, "learning_rate"))
        return ft_error(FT_E_USAGE, "%s %s makes the learning rate, and %s gives it: leave one out", where(scale, settings, "lr_scale"), rule->name,
                        where(rate, settings, "learning_rate"));
    return check_reference(settings, rule);
}

ft_status ft_lr_scale_derive(ft_settings *settings, int gpus)
{
    const ft_config *config = &settings->values;
    const scaling *rule = find_rule(config->lr_scale);
    int64_t accumulation;
    char value[32], reason[160];
    FT_TRY(ft_lr_scale_check(settings));
    if (rule == NULL) return FT_OK;
    FT_TRY(ft_config_accumulation(config, gpus, &accumulation));
    int64_t tokens = config->micro_batch_size * config->sequence_len * accumulation * gpus;
    // 17 digits read back to the same bits: a resume derives what the run had.
    snprintf(value, sizeof value, "%.17g", config->lr_reference * pow((double)tokens / config->lr_reference_tokens, rule->power));
    snprintf(reason, sizeof reason, "%s(%lld / %.15g tokens) x %.15g", rule->function, (long long)tokens, config->lr_reference_tokens, config->lr_reference);
    return ft_settings_derive(settings, "learning_rate", value, reason);
}
