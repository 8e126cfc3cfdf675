// adapter_config.json. Read strictly: a key that changes what the adapter computes is either understood or refused by name.
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/adapter_file.h"
#include "train/checkpoint.h"
#include "io/public_name.h"

#define MAX_CONFIG ((size_t)16 << 20)

static json_t *number(double value)
{
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *target_names(unsigned targets)
{
    json_t *names = json_array();
    for (int i = 0; i < FT_LINEAR_COUNT; i++)
        if (targets & (1u << i)) json_array_append_new(names, json_string(ft_linear_name((ft_linear)i)));
    return names;
}

static json_t *config_json(const ft_adapter_layout *adapter, const char *base_model)
{
    return json_pack("{s:{}, s:n, s:s?, s:s, s:b, s:b, s:b, s:n, s:n, s:o, s:o, s:n, s:s, s:s, s:I, s:{}, s:n, s:o, s:s, s:b, s:b}",
                     "alpha_pattern", "auto_mapping", "base_model_name_or_path", base_model, "bias", "none", "fan_in_fan_out", 0,
                     "inference_mode", 1, "init_lora_weights", 1, "layers_pattern", "layers_to_transform", "lora_alpha",
                     number(adapter->alpha), "lora_dropout", json_real(adapter->dropout), "modules_to_save", "peft_type", "LORA",
                     "peft_version", FT_PEFT_VERSION, "r", (json_int_t)adapter->r, "rank_pattern", "revision", "target_modules",
                     target_names(adapter->targets), "task_type", "CAUSAL_LM", "use_dora", 0, "use_rslora", (int)adapter->rslora);
}

ft_status ft_adapter_put_config(const char *directory, const ft_adapter_layout *adapter, const char *base_model,
                                ft_checkpoint_manifest *manifest)
{
    char *id = base_model ? ft_public_id(base_model) : NULL;
    json_t *root = config_json(adapter, id ? id : base_model);
    ft_free(id);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    if (text == NULL)
        return ft_error(FT_E_INPUT, FT_ADAPTER_CONFIG ": cannot be made: out of memory, or the base model's name is not UTF-8");
    ft_status status = ft_checkpoint_manifest_put_file(manifest, directory, FT_ADAPTER_CONFIG, text, strlen(text));
    ft_free(text);
    return status;
}

typedef struct {
    const json_t *root;
    const char *path;
} config_file;

static bool is_set(const json_t *item)
{
    if (item == NULL || json_is_null(item) || json_is_false(item)) return false;
    if (json_is_array(item) || json_is_object(item)) return json_array_size(item) + json_object_size(item) > 0;
    return !json_is_string(item) || json_string_length(item) > 0;
}

static ft_status unsupported(const config_file *c, const char *key, const char *instead)
{
    char *value = json_dumps(json_object_get(c->root, key), JSON_ENCODE_ANY | JSON_COMPACT);
    ft_status status = ft_error(FT_E_UNSUPPORTED, "%s: %s: %.80s is not supported%s", c->path, key, value ? value : "?", instead);
    ft_free(value);
    return status;
}

static ft_status read_string_key(const config_file *c, const char *key, const char *expected, const char *instead)
{
    const json_t *item = json_object_get(c->root, key);
    if (!is_set(item)) return FT_OK;
    return json_is_string(item) && strcmp(json_string_value(item), expected) == 0 ? FT_OK : unsupported(c, key, instead);
}

// Initialisations that leave the base as it is; the others (PiSSA, OLoRA, LoftQ, CorDA, LoRA-GA) subtract something from it.
static ft_status check_initialisation(const config_file *c)
{
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const json_t *item = json_object_get(c->root, "init_lora_weights");
    if (!is_set(item) || json_is_true(item)) return FT_OK;
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (json_is_string(item) && strcmp(json_string_value(item), harmless[i]) == 0) return FT_OK;
    return unsupported(c, "init_lora_weights", ": it changes the base model; convert the adapter to plain LoRA with PEFT first");
}

static ft_status refuse_unknown_maths(const config_file *c)
{
    static const char *const keys[] = {
        "use_dora", "lora_bias", "modules_to_save", "rank_pattern", "alpha_pattern", "layers_to_transform", "exclude_modules",
        "fan_in_fan_out", "use_qalora", "target_parameters", "trainable_token_indices", "layer_replication", "megatron_config",
        "alora_invocation_tokens", "arrow_config", "use_bdlora", "kasa_config", "monteclora_config", "velora_config"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (is_set(json_object_get(c->root, keys[i]))) return unsupported(c, keys[i], "");
    if (json_string_value(json_object_get(c->root, "peft_type")) == NULL) return ft_error(FT_E_INPUT, "%s: peft_type is missing", c->path);
    FT_TRY(read_string_key(c, "peft_type", "LORA", " (only LORA is)"));
    FT_TRY(read_string_key(c, "bias", "none", " (only none is)"));
    FT_TRY(read_string_key(c, "task_type", "CAUSAL_LM", " (only CAUSAL_LM is)"));
    return check_initialisation(c);
}

// PEFT matches the end of a module's path: "q_proj" and "self_attn.q_proj" name the same linears.
static bool find_linear(const char *name, unsigned *targets)
{
    for (int i = 0; i < FT_LINEAR_COUNT; i++) {
        if (strcmp(name, ft_linear_name((ft_linear)i)) != 0 && strcmp(name, ft_linear_module((ft_linear)i)) != 0) continue;
        *targets |= 1u << i;
        return true;
    }
    return false;
}

static ft_status read_target(const config_file *c, const json_t *item, unsigned *targets)
{
    if (!json_is_string(item)) return ft_error(FT_E_INPUT, "%s: target_modules: every entry must be the name of a module", c->path);
    if (find_linear(json_string_value(item), targets)) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED,
                    "%s: target_modules: \"%.80s\" cannot be adapted (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj can)",
                    c->path, json_string_value(item));
}

static ft_status read_targets(const config_file *c, unsigned *targets)
{
    const json_t *item = json_object_get(c->root, "target_modules");
    *targets = 0;
    if (!is_set(item)) return ft_error(FT_E_INPUT, "%s: target_modules is missing or empty", c->path);
    if (json_is_string(item) && strcmp(json_string_value(item), "all-linear") == 0) {
        *targets = FT_LINEAR_ALL;
        return FT_OK;
    }
    if (!json_is_array(item)) return unsupported(c, "target_modules", ": give a list of names, or \"all-linear\"");
    for (size_t i = 0; i < json_array_size(item); i++) FT_TRY(read_target(c, json_array_get(item, i), targets));
    return FT_OK;
}

static ft_status read_numbers(const config_file *c, int64_t *r, double *alpha, double *dropout)
{
    const json_t *rank = json_object_get(c->root, "r"), *scale = json_object_get(c->root, "lora_alpha");
    const json_t *drop = json_object_get(c->root, "lora_dropout");
    *r = json_integer_value(rank);
    *alpha = json_number_value(scale);
    *dropout = json_number_value(drop);
    if (!json_is_integer(rank) || *r < 1 || *r > (1 << 20)) return ft_error(FT_E_INPUT, "%s: r must be a positive whole number", c->path);
    if (!json_is_number(scale) || !(*alpha > 0)) return ft_error(FT_E_INPUT, "%s: lora_alpha must be a positive number", c->path);
    if ((drop && !json_is_null(drop) && !json_is_number(drop)) || *dropout < 0 || *dropout >= 1)
        return ft_error(FT_E_INPUT, "%s: lora_dropout must be a number from 0 to below 1", c->path);
    return FT_OK;
}

static bool holds_config(const char *directory, const char *inside)
{
    char *path = ft_format("%s/%s" FT_ADAPTER_CONFIG, directory, inside);
    bool there = path && ft_path_exists(path);
    ft_free(path);
    return there;
}

ft_status ft_adapter_expect(const char *directory)
{
    if (holds_config(directory, "")) return FT_OK;
    if (!ft_path_is_directory(directory))
        return ft_error(FT_E_NOT_FOUND, "%s: no such adapter directory; of one at the hub, ft-single download ORG/NAME prints it", directory);
    if (holds_config(directory, "adapter/") || holds_config(directory, "checkpoint-0/"))
        return ft_error(FT_E_NOT_FOUND, "%s is the output of a run: name the adapter/ or a checkpoint-N/ in it", directory);
    return ft_error(FT_E_NOT_FOUND, "%s: no adapter (" FT_ADAPTER_CONFIG ") in it; name OUTPUT/adapter or a checkpoint", directory);
}

ft_status ft_adapter_read_config(const char *directory, int64_t *r, double *alpha, double *dropout, bool *rslora, unsigned *targets)
{
    char *text = NULL, *path = ft_path_join(directory, FT_ADAPTER_CONFIG);
    size_t bytes;
    json_error_t error;
    FT_ALLOC_CHECK(path);
    config_file c = {NULL, path};
    ft_status status = ft_file_read(path, MAX_CONFIG, &text, &bytes);
    json_t *root = status == FT_OK ? json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error) : NULL;
    c.root = root;
    if (status == FT_OK && root == NULL) status = ft_error(FT_E_INPUT, "%s:%d: not valid JSON: %s", path, error.line, error.text);
    else if (status == FT_OK && !json_is_object(root)) status = ft_error(FT_E_INPUT, "%s: not a JSON object", path);
    if (status == FT_OK) status = refuse_unknown_maths(&c);
    if (status == FT_OK) status = read_numbers(&c, r, alpha, dropout);
    if (status == FT_OK) status = read_targets(&c, targets);
    *rslora = json_is_true(json_object_get(root, "use_rslora"));
    json_decref(root);
    ft_free(text);
    ft_free(path);
    return status;
}
