// Rules on a whole model: what transformers and vLLM read to serve it. Of the weights the headers are read, and a few values of each
// tensor; `merge` has compared every byte it wrote.
#include <math.h>

#include "common/memory.h"
#include "train/adapter_file.h"
#include "train/serve_check_internal.h"

#define SAMPLE 512  // elements read at either end of a tensor

static ft_status open_shape(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    ft_status status = ft_shape_read(&s->shape, s->options->directory);
    if (status != FT_OK) return ft_serve_fail_as(f, rule->remedy, status);
    s->open |= SERVE_SHAPE;
    return ft_serve_ok(f, "%s, %lld layers", s->shape.family->architecture, (long long)s->shape.layers);
}

static ft_status open_files(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    ft_status status = ft_model_files_open(&s->files, s->options->directory);
    if (status != FT_OK) return ft_serve_fail_as(f, rule->remedy, status);
    s->open |= SERVE_FILES;
    char size[FT_HUMAN_BYTES];
    return ft_serve_ok(f, "%d tensors in %d file%s, %s", s->files.n_tensors, s->files.n_files, s->files.n_files == 1 ? "" : "s",
                       ft_human_bytes(size, (double)s->files.total_bytes));
}

// NULL, or a tensor that is missing or misshapen, described.
static char *fault_of(const ft_serve_subject *s, ft_role role, int64_t layer, int64_t *found)
{
    char name[FT_TENSOR_NAME];
    int64_t rows, cols;
    if (role == FT_ROLE_HEAD && s->shape.tied) return NULL;
    if (!ft_shape_tensor_name(&s->shape, role, layer, name)) return NULL;
    const ft_tensor_info *tensor = ft_model_files_find(&s->files, name);
    if (tensor == NULL) return ft_format("%s is missing", name);
    (*found)++;
    ft_shape_role(&s->shape, role, &rows, &cols);
    if (tensor->rank > 0 && tensor->elements == rows * cols && tensor->shape[tensor->rank - 1] == cols) return NULL;
    return ft_format("%s has %lld elements, config.json makes it %lld x %lld", name, (long long)tensor->elements, (long long)rows, (long long)cols);
}

static ft_status tensors(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    int64_t found = 0;
    char *fault = NULL;
    for (int64_t layer = 0; layer < s->shape.layers && fault == NULL; layer++)
        for (ft_role role = 0; role < FT_ROLE_LAYER_COUNT && fault == NULL; role++) fault = fault_of(s, role, layer, &found);
    for (ft_role role = FT_ROLE_LAYER_COUNT; role < FT_ROLE_COUNT && fault == NULL; role++) fault = fault_of(s, role, 0, &found);
    if (fault) {
        ft_serve_fail(f, rule->remedy, "%s", fault);
        ft_free(fault);
        return FT_OK;
    }
    if (found == s->files.n_tensors || s->shape.quantization.method) return ft_serve_ok(f, "%lld of %lld, each once", (long long)found, (long long)s->files.n_tensors);
    return ft_serve_note(f, NULL, "%lld tensors of the model, %lld beyond it", (long long)found, (long long)(s->files.n_tensors - found));
}

static bool is_finite(const ft_serve_subject *s, const ft_tensor_info *tensor, int64_t first, int64_t n, ft_status *status)
{
    char bytes[SAMPLE * sizeof(double)];
    float numbers[SAMPLE];
    int64_t element = (int64_t)ft_dtype_bytes(tensor->dtype);
    *status = ft_model_files_read(&s->files, tensor, first * element, n * element, bytes);
    if (*status != FT_OK || ft_convert_to_f32(numbers, bytes, tensor->dtype, (size_t)n) != FT_OK) return true;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(numbers[i])) return false;
    return true;
}

static ft_status samples(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    for (int i = 0; i < s->files.n_tensors; i++) {
        const ft_tensor_info *tensor = s->files.sorted[i];
        int64_t n = tensor->elements < SAMPLE ? tensor->elements : SAMPLE;
        ft_status status;
        bool finite = is_finite(s, tensor, 0, n, &status);
        if (status == FT_OK && finite) finite = is_finite(s, tensor, tensor->elements - n, n, &status);
        if (status != FT_OK) return ft_serve_fail_as(f, rule->remedy, status);
        if (!finite) return ft_serve_fail(f, rule->remedy, "%.200s has a value that is not finite", tensor->name);
    }
    return ft_serve_ok(f, "finite at both ends of every tensor");
}

static ft_status quantization(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    const char *method = s->shape.quantization.method;
    return method ? ft_serve_note(f, rule->remedy, "%s, read by vLLM as it is", method) : ft_serve_ok(f, "not quantized, %s", ft_dtype_torch_name(s->shape.dtype));
}

static ft_status model_tokenizer(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    return ft_serve_tokenizer(f, s->options->directory, s->shape.vocab);
}

static ft_status chat_template(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    if (ft_serve_has_file(s->options->directory, "chat_template.jinja")) return ft_serve_ok(f, "chat_template.jinja");
    json_t *config = ft_serve_load_json(s->options->directory, "tokenizer_config.json");
    bool found = ft_serve_is_set(json_object_get(config, "chat_template"));
    json_decref(config);
    if (found) return ft_serve_ok(f, "in tokenizer_config.json");
    return ft_serve_note(f, rule->remedy, "none: /v1/completions works, /v1/chat/completions does not");
}

// A number, or a list of them, has `id`.
static bool has_id(const json_t *ids, int64_t id)
{
    if (json_is_integer(ids)) return json_integer_value(ids) == id;
    for (size_t i = 0; i < json_array_size(ids); i++)
        if (json_integer_value(json_array_get(ids, i)) == id) return true;
    return false;
}

static ft_status generation_config(ft_serve_subject *s, const ft_serve_rule *rule, ft_serve_finding *f)
{
    json_t *generation = ft_serve_load_json(s->options->directory, "generation_config.json");
    const json_t *eos = json_object_get(generation, "eos_token_id");
    ft_status status;
    if (generation == NULL) status = ft_serve_note(f, rule->remedy, "generation_config.json is not there: generation stops at the eos_token_id of config.json");
    else if (s->shape.eos_id >= 0 && ft_serve_is_set(eos) && !has_id(eos, s->shape.eos_id))
        status = ft_serve_note(f, rule->remedy, "eos_token_id is not config.json's %d: generation stops at this one", s->shape.eos_id);
    else if (s->shape.eos_id < 0 && !ft_serve_is_set(eos)) status = ft_serve_note(f, rule->remedy, "no eos_token_id here or in config.json: generation runs to its limit");
    else status = ft_serve_ok(f, "eos_token_id %s", ft_serve_is_set(eos) ? "given" : "as in config.json");
    json_decref(generation);
    return status;
}

const ft_serve_rule ft_serve_model_rules[] = {
    {"config", 0, open_shape, "vLLM model_executor/models/registry.py", NULL, "take config.json from the base model"},
    {"weights", 0, open_files, "vLLM model_executor/model_loader/default_loader.py", NULL, "merge again: ft-single merge --overwrite"},
    {"tensors", SERVE_SHAPE | SERVE_FILES, tensors, "vLLM model_executor/models/utils.py", NULL, "merge again: ft-single merge --overwrite"},
    {"values", SERVE_FILES, samples, "transformers modeling_utils.py", NULL, "merge again: ft-single merge --overwrite"},
    {"quantization", SERVE_SHAPE, quantization, "vLLM model_executor/layers/quantization/__init__.py", NULL, NULL},
    {"tokenizer", SERVE_SHAPE, model_tokenizer, "transformers tokenization_utils_base.py", NULL, NULL},
    {"chat-template", 0, chat_template, "vLLM renderers/hf.py", NULL, "add chat_template.jinja, or give vLLM --chat-template FILE"},
    {"generation-config", SERVE_SHAPE, generation_config, "transformers generation/configuration_utils.py", NULL, "take generation_config.json from the base model"},
    {NULL},
};
