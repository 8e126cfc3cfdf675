#include <math.h>
#include <string.h>

#include "common/codec.h"
#include "common/file.h"
#include "common/memory.h"
#include "train/adapter_file.h"
#include "train/checkpoint.h"

#define PIECE 4096        // elements converted at once
#define KEY_PREFIX "base_model.model."
#define KEY_SUFFIX_BYTES (sizeof ".lora_A.weight" - 1)

// "3." -> 3, without leading zeros; NULL if there is no such number.
static const char *parse_number(const char *text, int64_t *value)
{
    const char *at = text;
    *value = 0;
    for (; *at >= '0' && *at <= '9' && at - text < 9; at++) *value = 10 * *value + (*at - '0');
    return at == text || (*text == '0' && at != text + 1) ? NULL : at;
}

// stem is "model.layers.3.self_attn.q_proj", pattern "model.layers.%lld.self_attn.q_proj.weight".
static bool match_pattern(const char *stem, size_t length, const char *pattern, int64_t *layer)
{
    const char *hole = strstr(pattern, "%lld");
    if (hole == NULL) return false;
    const char *tail = hole + strlen("%lld");
    size_t head = (size_t)(hole - pattern), tail_bytes = strlen(tail) - strlen(".weight");
    if (length < head || memcmp(stem, pattern, head) != 0) return false;
    const char *rest = parse_number(stem + head, layer);
    return rest && (size_t)(stem + length - rest) == tail_bytes && memcmp(rest, tail, tail_bytes) == 0;
}

static bool match_linear(const char *stem, size_t length, ft_adapter_key *key)
{
    for (int f = 0; ft_families[f]; f++) {
        for (int i = 0; i < FT_LINEAR_COUNT; i++) {
            const char *pattern = ft_families[f]->roles[ft_linear_role((ft_linear)i)];
            key->linear = (ft_linear)i;
            if (pattern && match_pattern(stem, length, pattern, &key->layer)) return true;
        }
    }
    return false;
}

bool ft_adapter_key_parse(const char *text, ft_adapter_key *key)
{
    size_t length = strlen(text), prefix = strlen(KEY_PREFIX);
    if (length <= prefix + KEY_SUFFIX_BYTES || memcmp(text, KEY_PREFIX, prefix) != 0) return false;
    const char *suffix = text + length - KEY_SUFFIX_BYTES;
    key->is_b = strcmp(suffix, ".lora_B.weight") == 0;
    if (!key->is_b && strcmp(suffix, ".lora_A.weight") != 0) return false;
    return match_linear(text + prefix, length - prefix - KEY_SUFFIX_BYTES, key);
}

ft_status ft_adapter_open_weights(ft_safetensors *file, const char *directory)
{
    char *path = ft_path_join(directory, FT_ADAPTER_WEIGHTS), *pickle = ft_path_join(directory, "adapter_model.bin");
    ft_status status = path && pickle ? FT_OK : FT_E_NOMEM;
    if (status == FT_OK && !ft_path_exists(path) && ft_path_exists(pickle))
        status = ft_error(FT_E_UNSUPPORTED, "%s: only safetensors is read: load the adapter with PEFT and save it again", pickle);
    if (status == FT_OK) status = ft_safetensors_open(file, path);
    ft_free(path);
    ft_free(pickle);
    return status;
}

// The config of an adapter against the layout that is to hold it.
static ft_status check_config(const char *directory, const ft_adapter_layout *adapter)
{
    int64_t r;
    double alpha, dropout;
    bool rslora;
    unsigned targets;
    FT_TRY(ft_adapter_read_config(directory, &r, &alpha, &dropout, &rslora, &targets));
    if (r != adapter->r)
        return ft_error(FT_E_INPUT, "%s: the adapter has r %lld, this run %lld; set lora_r: %lld", directory, (long long)r,
                        (long long)adapter->r, (long long)r);
    if (alpha != adapter->alpha)
        return ft_error(FT_E_INPUT, "%s: the adapter has lora_alpha %g, this run %g; set lora_alpha: %g", directory, alpha,
                        adapter->alpha, alpha);
    if (rslora != adapter->rslora)
        return ft_error(FT_E_INPUT, "%s: the adapter has use_rslora %s, this run %s; set peft_use_rslora", directory,
                        rslora ? "true" : "false", adapter->rslora ? "true" : "false");
    for (int i = 0; i < FT_LINEAR_COUNT; i++)
        if ((targets ^ adapter->targets) >> i & 1)
            return ft_error(FT_E_INPUT, "%s: %s is adapted only %s; set lora_target_modules to the adapter's target_modules", directory,
                            ft_linear_name((ft_linear)i), targets >> i & 1 ? "by the adapter" : "in this run");
    return FT_OK;
}

static ft_status check_tensor(const ft_safetensors *file, const ft_tensor_info *info, const ft_adapter_tensor *tensor)
{
    if (info->rank != 2 || info->shape[0] != tensor->rows || info->shape[1] != tensor->cols)
        return ft_error(FT_E_INPUT, "%s: %.160s has %d dimensions, [%lld, %lld], where the model and r need [%lld, %lld]", file->path,
                        info->name, info->rank, (long long)(info->rank > 0 ? info->shape[0] : 0),
                        (long long)(info->rank > 1 ? info->shape[1] : 0), (long long)tensor->rows, (long long)tensor->cols);
    return FT_OK;
}

// Index of a key among the layout's tensors, -1 if the layout has no such tensor.
static int64_t find_tensor(const ft_adapter_layout *adapter, const ft_shape *shape, const char *name)
{
    ft_adapter_key key;
    char expected[FT_ADAPTER_KEY];
    if (!ft_adapter_key_parse(name, &key) || key.layer >= shape->layers) return -1;
    int64_t first = adapter->index[key.layer * FT_LINEAR_COUNT + key.linear];
    if (first < 0) return -1;
    ft_adapter_tensor_name(shape, &adapter->tensor[first + key.is_b], expected);
    return strcmp(expected, name) == 0 ? first + key.is_b : -1;
}

static ft_status match_tensors(ft_adapter_file *file, const ft_adapter_layout *adapter, const ft_shape *shape)
{
    FT_ALLOC_CHECK(file->tensor = FT_NEW_ARRAY(const ft_tensor_info *, adapter->n_tensors));
    for (int i = 0; i < file->file.n_tensors; i++) {
        const ft_tensor_info *info = &file->file.tensors[i];
        int64_t t = find_tensor(adapter, shape, info->name);
        if (t < 0) return ft_error(FT_E_INPUT, "%s: %.160s belongs to no adapted linear of this model", file->file.path, info->name);
        FT_TRY(check_tensor(&file->file, info, &adapter->tensor[t]));
        file->tensor[t] = info;
    }
    for (int64_t t = 0; t < adapter->n_tensors; t++) {
        char name[FT_ADAPTER_KEY];
        if (file->tensor[t]) continue;
        ft_adapter_tensor_name(shape, &adapter->tensor[t], name);
        return ft_error(FT_E_INPUT, "%s: %s is missing", file->file.path, name);
    }
    return FT_OK;
}

ft_status ft_adapter_file_open(ft_adapter_file *file, const char *directory, const ft_adapter_layout *adapter, const ft_shape *shape)
{
    *file = (ft_adapter_file){0};
    FT_TRY(check_config(directory, adapter));
    FT_TRY(ft_adapter_open_weights(&file->file, directory));
    ft_status status = match_tensors(file, adapter, shape);
    if (status != FT_OK) ft_adapter_file_close(file);
    return status;
}

void ft_adapter_file_close(ft_adapter_file *file)
{
    ft_safetensors_close(&file->file);
    ft_free(file->tensor);
    file->tensor = NULL;
}

static ft_status check_finite(const ft_safetensors *file, const ft_tensor_info *tensor, const float *values)
{
    for (int64_t i = 0; i < tensor->elements; i++)
        if (!isfinite(values[i]))
            return ft_error(FT_E_NUMERIC, "%s: %.160s: element %lld is not finite", file->path, tensor->name, (long long)i);
    return FT_OK;
}

ft_status ft_adapter_read_tensor(const ft_safetensors *file, const ft_tensor_info *tensor, float *values)
{
    char piece[PIECE * sizeof(double)];
    int64_t element = (int64_t)ft_dtype_bytes(tensor->dtype);
    if (tensor->dtype == FT_DTYPE_F32) {
        FT_TRY(ft_safetensors_read(file, tensor, 0, tensor->bytes, values));
        return check_finite(file, tensor, values);
    }
    for (int64_t done = 0; done < tensor->elements; done += PIECE) {
        int64_t n = tensor->elements - done < PIECE ? tensor->elements - done : PIECE;
        FT_TRY(ft_safetensors_read(file, tensor, done * element, n * element, piece));
        ft_status status = ft_convert_to_f32(values + done, piece, tensor->dtype, (size_t)n);
        if (status != FT_OK) return ft_error_prefix(status, "%s: %.160s", file->path, tensor->name);
    }
    return check_finite(file, tensor, values);
}

ft_status ft_adapter_load(const char *directory, const ft_adapter_layout *adapter, const ft_shape *shape, float *parameters)
{
    ft_adapter_file file;
    FT_TRY(ft_adapter_file_open(&file, directory, adapter, shape));
    memset(parameters, 0, (size_t)adapter->n_floats * sizeof *parameters);
    ft_status status = FT_OK;
    for (int64_t t = 0; t < adapter->n_tensors && status == FT_OK; t++)
        status = ft_adapter_read_tensor(&file.file, file.tensor[t], parameters + adapter->tensor[t].offset);
    ft_adapter_file_close(&file);
    return status;
}
