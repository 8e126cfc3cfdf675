// Rules on adapter_model.safetensors. PEFT loads what it knows and passes over the rest (load_state_dict with strict=False), vLLM
// refuses a name it cannot parse: either way every tensor must be the lora_A or lora_B of a linear that the config targets.
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/adapter_file.h"
#include "train/serve_check_internal.h"

#define PREFIX "base_model.model."
#define SUFFIX_BYTES (sizeof ".lora_A.weight" - 1)
#define TENSORS(s) (const ft_tensor_info *tensor = (s)->weights.tensors; tensor < (s)->weights.tensors + (s)->weights.n_tensors; tensor++)

static ft_status open_weights(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    ft_status status = ft_adapter_open_weights(&s->weights, s->options->directory);
    if (status != FT_OK) return ft_serve_fail_as(f, rule->remedy, status);
    s->open |= SERVE_WEIGHTS;
    char size[FT_HUMAN_BYTES];
    return ft_serve_ok(f, "%d tensors, %s", s->weights.n_tensors, ft_human_bytes(size, (double)s->weights.file_bytes));
}

// A LoRA on the embedding or the head, a part of the base, or a part of another method: what to say of a name that holds `part`.
typedef struct {
    const char *part, *what, *remedy;
} name_fault;

static const name_fault name_faults[] = {
    {".lora_A.default.", "still has the adapter's name in it", "save it with PEFT's save_pretrained, which takes \"default\" out"},
    {".lora_B.default.", "still has the adapter's name in it", "save it with PEFT's save_pretrained, which takes \"default\" out"},
    {".base_layer.", "belongs to the base model", "take the base's tensors out: save with PEFT's save_pretrained"},
    {"_checkpoint_wrapped_module", "has the name of a wrapper in it", "take \"_checkpoint_wrapped_module.\" out of the names"},
    {"_fsdp_wrapped_module", "has the name of a wrapper in it", "take \"_fsdp_wrapped_module.\" out of the names"},
    {"lora_magnitude_vector", "belongs to DoRA", "serve the merged model: vLLM has no DoRA"},
    {"lora_B.bias", "is a bias", "serve the merged model: vLLM has no biases of LoRA"},
};

static bool is_embedding(const char *name)
{
    return strstr(name, "lm_head") != NULL || strstr(name, "embed_tokens") != NULL;
}

static ft_status describe_name(const ft_serve_rule *rule, ft_serve_finding *f, const char *name)
{
    for (size_t i = 0; i < sizeof name_faults / sizeof name_faults[0]; i++)
        if (strstr(name, name_faults[i].part)) return ft_serve_fail(f, name_faults[i].remedy, "%.200s %s", name, name_faults[i].what);
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0) return ft_serve_fail(f, "save it with PEFT's save_pretrained", "%.200s does not begin with " PREFIX, name);
    return ft_serve_fail(f, rule->remedy, "%.200s is not the lora_A.weight or lora_B.weight of a known linear", name);
}

static ft_status tensor_names(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    ft_adapter_key key;
    for TENSORS(s)
        if (!is_embedding(tensor->name) && !ft_adapter_key_parse(tensor->name, &key)) return describe_name(rule, f, tensor->name);
    if (s->weights.n_tensors == 0) return ft_serve_fail(f, "train again: the trainer saved nothing", "there is no tensor in the file");
    return ft_serve_ok(f, PREFIX "*.lora_A.weight and .lora_B.weight");
}

// Tokens that a LoRA on embedding (A is r x vocab) or head (B is vocab x r) is for; 0 for its other tensor.
static int64_t tokens_of(const ft_tensor_info *tensor)
{
    if (tensor->rank == 2 && ft_name_ends_with(tensor->name, ".lora_embedding_A")) return tensor->shape[1];
    return tensor->rank == 2 && ft_name_ends_with(tensor->name, "lm_head.lora_B.weight") ? tensor->shape[0] : 0;
}

// vLLM's Llama, Mistral and Qwen3 take a LoRA on embedding and head, its Qwen2 does not; none takes new rows or whole matrices.
static void check_embedding(const ft_serve_subject *s, const ft_serve_rule *rule, const ft_tensor_info *tensor, ft_serve_finding *f)
{
    int64_t tokens = tokens_of(tensor);
    bool copy = ft_name_ends_with(tensor->name, ".base_layer.weight"), based = s->open & SERVE_SHAPE;
    if (strstr(tensor->name, ".lora_") == NULL && !copy) ft_serve_fail(f, rule->remedy, "%.200s is a whole matrix beside the adapter", tensor->name);
    else if (based && tokens > 0 && tokens != s->shape.vocab)
        ft_serve_fail(f, rule->remedy, "%.200s is for %lld tokens, the base has %lld", tensor->name, (long long)tokens, (long long)s->shape.vocab);
    else if (based && !copy && strcmp(s->shape.family->model_type, "qwen2") == 0)
        ft_serve_fail(f, rule->remedy, "%.200s: vLLM's Qwen2 has no LoRA there", tensor->name);
    else
        ft_serve_note(f, rule->remedy, "%.200s: recent vLLM takes a LoRA there for Llama, Mistral and Qwen3, and passes over a copy of the base's", tensor->name);
}

static ft_status embeddings(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    for TENSORS(s)
        if (is_embedding(tensor->name) && f->verdict != FT_SERVE_FAIL) check_embedding(s, rule, tensor, f);
    return f->message[0] ? FT_OK : ft_serve_ok(f, "none on embedding or head");
}

// One bit for each (layer, linear, A or B) of `layers`; tensors that are none are the business of other rules.
static ft_status list_keys(const ft_serve_subject *s, int64_t layers, uint8_t **seen)
{
    ft_adapter_key key;
    FT_ALLOC_CHECK(*seen = FT_NEW_ARRAY(uint8_t, layers * FT_LINEAR_COUNT));
    for TENSORS(s)
        if (ft_adapter_key_parse(tensor->name, &key) && key.layer < layers) (*seen)[key.layer * FT_LINEAR_COUNT + key.linear] |= (uint8_t)(1 << key.is_b);
    return FT_OK;
}

// The base's, or as many as the tensors show. Never more than tensors could fill where nothing else bounds them.
static int64_t layer_count(const ft_serve_subject *s)
{
    ft_adapter_key key;
    int64_t layers = 0;
    if (s->open & SERVE_SHAPE) return s->shape.layers;
    for TENSORS(s)
        if (ft_adapter_key_parse(tensor->name, &key) && key.layer >= layers) layers = key.layer + 1;
    return layers < s->weights.n_tensors ? layers : s->weights.n_tensors;
}

static ft_status pairs(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    int64_t layers = layer_count(s), n = 0;
    uint8_t *seen;
    FT_TRY(list_keys(s, layers, &seen));
    ft_status status = FT_OK;
    for (int64_t i = 0; i < layers * FT_LINEAR_COUNT && f->message[0] == 0; i++) {
        n += seen[i] == 3;
        if (seen[i] == 1 || seen[i] == 2)
            status = ft_serve_fail(f, rule->remedy, "layer %lld's %s has no lora_%c", (long long)(i / FT_LINEAR_COUNT),
                                   ft_linear_name((ft_linear)(i % FT_LINEAR_COUNT)), seen[i] == 1 ? 'B' : 'A');
    }
    ft_free(seen);
    return f->message[0] ? status : ft_serve_ok(f, "%lld linears with both", (long long)n);
}

// What the config targets is there, in every layer, unless it says that layers or modules are left out.
static ft_status missing_modules(const ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f, int64_t layers, const uint8_t *seen)
{
    if (ft_serve_is_set(json_object_get(s->config, "layers_to_transform")) || ft_serve_is_set(json_object_get(s->config, "exclude_modules"))) return FT_OK;
    for (int64_t i = 0; i < layers * FT_LINEAR_COUNT; i++) {
        char module[FT_TENSOR_NAME];
        int length = snprintf(module, sizeof module, "model.layers.%lld.%s", (long long)(i / FT_LINEAR_COUNT), ft_linear_module((ft_linear)(i % FT_LINEAR_COUNT)));
        if (seen[i] == 0 && ft_serve_is_target(s, module, (size_t)length)) return ft_serve_fail(f, rule->remedy, "%s is a target and has no tensors", module);
    }
    return FT_OK;
}

static ft_status modules(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    int64_t layers = layer_count(s);
    for TENSORS(s) {
        ft_adapter_key key;
        if (!ft_adapter_key_parse(tensor->name, &key)) continue;
        if (key.layer >= layers) return ft_serve_fail(f, rule->remedy, "%.200s: the model has %lld layers", tensor->name, (long long)layers);
        if (!ft_serve_is_target(s, tensor->name + sizeof PREFIX - 1, strlen(tensor->name) - (sizeof PREFIX - 1) - SUFFIX_BYTES))
            return ft_serve_fail(f, rule->remedy, "%.200s is not in target_modules", tensor->name);
    }
    uint8_t *seen;
    FT_TRY(list_keys(s, layers, &seen));
    ft_status status = missing_modules(s, rule, f, layers, seen);
    ft_free(seen);
    return status != FT_OK || f->message[0] ? status : ft_serve_ok(f, "every target of %lld layers, and nothing else", (long long)layers);
}

// Rows and columns a tensor should have; 0 = not known without the base: `width` holds what the first one of its kind had.
static void expected_shape(const ft_serve_subject *s, const char *name, const ft_adapter_key *key, int64_t *width, int64_t expected[2])
{
    int64_t in = 0, out = 0;
    if (s->open & SERVE_SHAPE) ft_shape_linear(&s->shape, key->linear, &out, &in);
    else in = out = *width;
    expected[key->is_b] = ft_serve_rank_of(s, name + sizeof PREFIX - 1, strlen(name) - (sizeof PREFIX - 1) - SUFFIX_BYTES);
    expected[!key->is_b] = key->is_b ? out : in;
}

static ft_status shapes(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    int64_t width[2][FT_LINEAR_COUNT] = {0};
    for TENSORS(s) {
        ft_adapter_key key;
        int64_t expected[2];
        if (!ft_adapter_key_parse(tensor->name, &key)) continue;
        int64_t *known = &width[key.is_b][key.linear];
        if (*known == 0 && tensor->rank == 2) *known = tensor->shape[!key.is_b];
        expected_shape(s, tensor->name, &key, known, expected);
        if (tensor->rank != 2 || tensor->shape[0] != expected[0] || tensor->shape[1] != expected[1])
            return ft_serve_fail(f, rule->remedy, "%.200s is [%lld, %lld], not [%lld, %lld]", tensor->name, (long long)(tensor->rank > 0 ? tensor->shape[0] : 0),
                                 (long long)(tensor->rank > 1 ? tensor->shape[1] : 0), (long long)expected[0], (long long)expected[1]);
    }
    return ft_serve_ok(f, "A is r x in, B is out x r, %s", s->open & SERVE_SHAPE ? "as the base's linears" : "the same in every layer");
}

static ft_status dtypes(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const char *wide = NULL;
    for TENSORS(s) {
        if (tensor->dtype == FT_DTYPE_F64) wide = tensor->name;
        else if (tensor->dtype != FT_DTYPE_F32 && tensor->dtype != FT_DTYPE_F16 && tensor->dtype != FT_DTYPE_BF16)
            return ft_serve_fail(f, rule->remedy, "%.200s is %s", tensor->name, ft_dtype_name(tensor->dtype));
    }
    if (wide) return ft_serve_note(f, rule->remedy, "%.200s is F64", wide);
    return ft_serve_ok(f, "%s; vLLM casts to the model's dtype", s->weights.n_tensors ? ft_dtype_name(s->weights.tensors[0].dtype) : "none");
}

static bool any_value(const float *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (values[i] != 0) return true;
    return false;
}

// Reads every value. *any[0], *any[1]: an A, a B has one that is not zero.
static ft_status read_values(const ft_serve_subject *s, bool any[2])
{
    int64_t largest = 1;
    for TENSORS(s)
        if (tensor->elements > largest) largest = tensor->elements;
    float *values = FT_NEW_ARRAY(float, largest);
    FT_ALLOC_CHECK(values);
    ft_status status = FT_OK;
    for TENSORS(s) {
        FT_TRY_GOTO(status, out, ft_adapter_read_tensor(&s->weights, tensor, values));
        bool is_b = strstr(tensor->name, "lora_B") || strstr(tensor->name, "lora_embedding_B");
        any[is_b] = any[is_b] || any_value(values, tensor->elements);
    }
out:
    ft_free(values);
    return status;
}

static ft_status values(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    bool any[2] = {false, false};
    ft_status status = read_values(s, any);
    if (status != FT_OK) return ft_serve_fail_as(f, rule->remedy, status);
    if (!any[0] || !any[1]) return ft_serve_note(f, "train it, or take a later checkpoint", "every %c is zero: the adapter changes nothing", any[0] ? 'B' : 'A');
    return ft_serve_ok(f, "finite, and B is not zero");
}

#define LOADER "vLLM lora/lora_model.py"

const ft_serve_rule ft_serve_tensor_rules[] = {
    {"adapter-weights", 0, open_weights, "PEFT utils/save_and_load.py, " LOADER, NULL, "copy adapter_model.safetensors again from the run that made it"},
    {"tensor-names", SERVE_WEIGHTS, tensor_names, "vLLM lora/utils.py", NULL, "take it out, or serve the merged model"},
    {"embeddings", SERVE_WEIGHTS, embeddings, "vLLM lora/utils.py, " LOADER, NULL, "serve the merged model"},
    {"modules", SERVE_CONFIG | SERVE_WEIGHTS, modules, "PEFT tuners/tuners_utils.py, " LOADER, NULL,
     "make adapter_config.json and the weights those of one run, and the base the one it was trained on"},
    {"pairs", SERVE_WEIGHTS, pairs, LOADER, NULL, "copy the weights again from the run that made them"},
    {"shapes", SERVE_CONFIG | SERVE_WEIGHTS, shapes, "vLLM lora/layers/base_linear.py", NULL, "use the base it was trained on, and the r it was trained with"},
    {"dtype", SERVE_WEIGHTS, dtypes, LOADER, NULL, "save it as F32, F16 or BF16"},
    {"values", SERVE_WEIGHTS, values, "PEFT utils/save_and_load.py", NULL, "take an earlier checkpoint"},
    {NULL},
};
