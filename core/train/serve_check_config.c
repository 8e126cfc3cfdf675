// Rules on adapter_config.json. A key that PEFT knows and vLLM's PEFTHelper does not is passed over by vLLM without a word, so
// what such a key changes would be computed differently: that is a failure as well.
#include <math.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/adapter_file.h"
#include "train/serve_check_internal.h"

#define MAX_CONFIG ((size_t)16 << 20)
#define FOLD_IN "fold it into the weights with PEFT (merge_and_unload, save_pretrained) and serve the merged model"
#define TRAIN_PLAIN "train plain LoRA instead, or " FOLD_IN

static ft_status open_config(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    char *text, *path = ft_path_join(s->options->directory, FT_ADAPTER_CONFIG);
    size_t bytes;
    json_error_t error;
    FT_ALLOC_CHECK(path);
    ft_status status = ft_file_read(path, MAX_CONFIG, &text, &bytes);
    ft_free(path);
    if (status != FT_OK) return ft_serve_fail_as(f, rule->remedy, status);
    s->config = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    ft_free(text);
    if (!json_is_object(s->config)) return ft_serve_fail(f, rule->remedy, "line %d: %s", error.line, s->config ? "not a JSON object" : error.text);
    s->open |= SERVE_CONFIG;
    return ft_serve_ok(f, "%zu keys", json_object_size(s->config));
}

static ft_status peft_type(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const char *type = json_string_value(json_object_get(s->config, "peft_type"));
    if (type && strcmp(type, "LORA") == 0) return ft_serve_ok(f, "LORA");
    return ft_serve_fail(f, rule->remedy, "%s", type ? type : "missing");
}

// The largest rank of the adapter, 0 if r or a rank_pattern is no positive whole number.
static int64_t largest_rank(const json_t *config)
{
    const char *key;
    json_t *item, *r = json_object_get(config, "r");
    int64_t largest = json_is_integer(r) ? json_integer_value(r) : 0;
    if (largest < 1) return 0;
    json_object_foreach(json_object_get(config, "rank_pattern"), key, item) {
        if (!json_is_integer(item) || json_integer_value(item) < 1) return 0;
        if (json_integer_value(item) > largest) largest = json_integer_value(item);
    }
    return largest;
}

static ft_status rank(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    s->report->rank = largest_rank(s->config);
    if (s->report->rank > 0) return ft_serve_ok(f, "r %lld", (long long)json_integer_value(json_object_get(s->config, "r")));
    return ft_serve_fail(f, rule->remedy, "r, and every rank of rank_pattern, must be a positive whole number");
}

static ft_status scaling(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    double alpha = json_number_value(json_object_get(s->config, "lora_alpha")), r = (double)json_integer_value(json_object_get(s->config, "r"));
    bool rslora = json_is_true(json_object_get(s->config, "use_rslora"));
    if (!(alpha > 0)) return ft_serve_fail(f, rule->remedy, "lora_alpha must be a positive number");
    if (r < 1) return ft_serve_fail(f, rule->remedy, "no scale without r");
    return ft_serve_ok(f, "%g, lora_alpha %g / %s", alpha / (rslora ? sqrt(r) : r), alpha, rslora ? "sqrt(r): use_rslora is honoured" : "r");
}

static ft_status max_lora_rank(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    int64_t r = s->report->rank, needed = ft_serve_lora_rank(r), given = s->options->max_lora_rank;
    if (r == 0) return ft_serve_fail(f, rule->remedy, "no rank to compare");
    if (needed == 0)
        return ft_serve_fail(f, "train with lora_r: 512 or less, or serve the merged model", "rank %lld: vLLM takes at most %d", (long long)r, FT_SERVE_MAX_RANK);
    if (given > 0 && ft_serve_lora_rank(given) != given)
        return ft_serve_fail(f, "give 1, 8, 16, 32, 64, 128, 256, 320 or 512", "--max-lora-rank %lld is no value vLLM has", (long long)given);
    if (given > 0 && r > given)
        return ft_serve_fail(f, rule->remedy, "rank %lld is above --max-lora-rank %lld; it needs %lld", (long long)r, (long long)given, (long long)needed);
    if (given == 0 && needed > 16)
        return ft_serve_note(f, rule->remedy, "rank %lld needs --max-lora-rank %lld; vLLM's default is 16", (long long)r, (long long)needed);
    return ft_serve_ok(f, "rank %lld, --max-lora-rank %lld", (long long)r, (long long)(given ? given : needed));
}

static ft_status patterns(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const json_t *ranks = json_object_get(s->config, "rank_pattern"), *alphas = json_object_get(s->config, "alpha_pattern");
    if (!ft_serve_is_set(ranks) && !ft_serve_is_set(alphas)) return ft_serve_ok(f, "none");
    return ft_serve_note(f, rule->remedy, "%zu ranks and %zu alphas by module: vLLM 0.33 reads them, older releases use r and lora_alpha everywhere",
                         json_object_size(ranks), json_object_size(alphas));
}

static ft_status bias(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const json_t *item = json_object_get(s->config, "bias");
    const char *value = json_string_value(item);
    if (!ft_serve_is_set(item) || (value && strcmp(value, "none") == 0)) return ft_serve_ok(f, "none");
    return ft_serve_fail(f, rule->remedy, "bias is %s", value ? value : "not a name");
}

// For keys that must say nothing.
static ft_status unset(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const json_t *item = json_object_get(s->config, rule->key);
    if (!ft_serve_is_set(item)) return ft_serve_ok(f, "%s", item ? "not in use" : "not given");
    char *value = json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
    FT_ALLOC_CHECK(value);
    ft_status status = ft_serve_fail(f, rule->remedy, "%s is %.200s", rule->key, value);
    ft_free(value);
    return status;
}

// Every other way to change what an adapter computes that PEFT 0.21 has and no server does.
static ft_status variants(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    static const char *const keys[] = {"alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "megatron_config",
                                       "monteclora_config", "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora",
                                       "velora_config"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (ft_serve_is_set(json_object_get(s->config, keys[i]))) return ft_serve_fail(f, rule->remedy, "%s is in use", keys[i]);
    return ft_serve_ok(f, "plain LoRA");
}

// Initialisations that leave the base as it is. The others are loaded on a base they have changed.
static ft_status initialisation(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal", "mica", "lora_ga"};
    const char *value = json_string_value(json_object_get(s->config, "init_lora_weights"));
    if (value == NULL) return ft_serve_ok(f, "the base is as it was");
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (strcmp(value, harmless[i]) == 0) return ft_serve_ok(f, "%s: the base is as it was", value);
    return ft_serve_fail(f, rule->remedy, "%.80s changes the base's weights when PEFT loads the adapter", value);
}

static ft_status target_modules(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const json_t *targets = json_object_get(s->config, "target_modules");
    if (!ft_serve_is_set(targets)) return ft_serve_fail(f, rule->remedy, "missing or empty");
    if (json_is_string(targets)) return ft_serve_ok(f, "a pattern: %.200s", json_string_value(targets));
    if (!json_is_array(targets)) return ft_serve_fail(f, rule->remedy, "neither a list of names nor a pattern");
    for (size_t i = 0; i < json_array_size(targets); i++) {
        const char *name = json_string_value(json_array_get(targets, i)), *last = name ? strrchr(name, '.') : NULL;
        ft_linear linear;
        if (name == NULL) return ft_serve_fail(f, rule->remedy, "entry %zu is no name", i);
        if (!ft_linear_from_name(last ? last + 1 : name, &linear))
            return ft_serve_fail(f, rule->remedy, "\"%.80s\" is no linear of Llama, Mistral, Qwen2 or Qwen3", name);
    }
    return ft_serve_ok(f, "%zu linears", json_array_size(targets));
}

static ft_status layers(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    static const char *const keys[] = {"layers_to_transform", "layers_pattern", "exclude_modules"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (ft_serve_is_set(json_object_get(s->config, keys[i])))
            return ft_serve_note(f, rule->remedy, "%s is in use: vLLM goes by the tensors alone", keys[i]);
    return ft_serve_ok(f, "every layer");
}

static ft_status task_type(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const char *task = json_string_value(json_object_get(s->config, "task_type"));
    if (task == NULL) return ft_serve_note(f, rule->remedy, "missing: AutoPeftModelForCausalLM asks for it");
    return strcmp(task, "CAUSAL_LM") == 0 ? ft_serve_ok(f, "CAUSAL_LM") : ft_serve_fail(f, rule->remedy, "%.80s", task);
}

#define HELPER "vLLM lora/peft_helper.py"

const ft_serve_rule ft_serve_config_rules[] = {
    {"adapter-config", 0, open_config, "PEFT config.py, " HELPER, NULL, "copy adapter_config.json from the run that made the weights"},
    {"peft-type", SERVE_CONFIG, peft_type, "PEFT mapping.py", NULL, "set \"peft_type\": \"LORA\" if it is LoRA"},
    {"rank", SERVE_CONFIG, rank, HELPER, NULL, "set r to the rows of a lora_A tensor"},
    {"scaling", SERVE_CONFIG, scaling, HELPER, NULL, "set lora_alpha to what it was trained with"},
    {"max-lora-rank", SERVE_CONFIG, max_lora_rank, "vLLM config/lora.py, lora/peft_helper.py", NULL, "serve with the value named"},
    {"rank-patterns", SERVE_CONFIG, patterns, HELPER, NULL, "upgrade vLLM, or serve the merged model"},
    {"bias", SERVE_CONFIG, bias, HELPER, NULL, TRAIN_PLAIN},
    {"lora-bias", SERVE_CONFIG, unset, HELPER, "lora_bias", TRAIN_PLAIN},
    {"modules-to-save", SERVE_CONFIG, unset, HELPER, "modules_to_save", FOLD_IN},
    {"dora", SERVE_CONFIG, unset, HELPER, "use_dora", TRAIN_PLAIN},
    {"variants", SERVE_CONFIG, variants, HELPER ", PEFT tuners/lora/config.py", NULL, TRAIN_PLAIN},
    {"initialisation", SERVE_CONFIG, initialisation, HELPER, NULL,
     "convert it with PEFT: save_pretrained(..., path_initial_model_for_weight_conversion=...)"},
    {"fan-in-fan-out", SERVE_CONFIG, unset, "PEFT tuners/lora/layer.py", "fan_in_fan_out", "set it to false: no linear of these models is transposed"},
    {"target-modules", SERVE_CONFIG, target_modules, "PEFT tuners/tuners_utils.py, vLLM lora/lora_model.py", NULL,
     "name linears of the model: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"},
    {"layers", SERVE_CONFIG, layers, "PEFT tuners/tuners_utils.py", NULL, NULL},
    {"task-type", SERVE_CONFIG, task_type, "PEFT auto.py", NULL, "set \"task_type\": \"CAUSAL_LM\""},
    {NULL},
};
