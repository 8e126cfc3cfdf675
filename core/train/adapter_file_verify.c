// Reopening an adapter without its model. vLLM asks that every key ends in lora_A.weight or lora_B.weight and that the module
// before it is a linear it knows; PEFT that every target of the config is there with rank r.
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "train/adapter_file.h"
#include "train/checkpoint.h"

typedef struct {
    ft_safetensors file;
    int64_t r;
    unsigned targets;
    int64_t layers;
    int64_t width[2][FT_LINEAR_COUNT];  // A's in, B's out: the same in every layer
    uint8_t *seen;                      // [layers * FT_LINEAR_COUNT * 2]
    bool any_a, any_b;                  // a value that is not zero
} inspection;

static ft_status check_shape(inspection *v, const ft_tensor_info *tensor, const ft_adapter_key *key)
{
    int rank_axis = key->is_b ? 1 : 0;
    if (tensor->rank != 2 || tensor->shape[rank_axis] != v->r)
        return ft_error(FT_E_INPUT, "%s: %.160s: dimension %d is not r = %lld", v->file.path, tensor->name, rank_axis, (long long)v->r);
    int64_t *width = &v->width[key->is_b][key->linear];
    if (*width == 0) *width = tensor->shape[1 - rank_axis];
    if (tensor->shape[1 - rank_axis] == *width) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: %.160s: dimension %d is %lld, %lld in another layer", v->file.path, tensor->name, 1 - rank_axis,
                    (long long)tensor->shape[1 - rank_axis], (long long)*width);
}

static ft_status parse_key(const inspection *v, const ft_tensor_info *tensor, ft_adapter_key *key)
{
    if (!ft_adapter_key_parse(tensor->name, key))
        return ft_error(FT_E_INPUT, "%s: %.160s is not the lora_A.weight or lora_B.weight of a known linear", v->file.path, tensor->name);
    if (!(v->targets >> key->linear & 1))
        return ft_error(FT_E_INPUT, "%s: %.160s: %s is not in target_modules of " FT_ADAPTER_CONFIG, v->file.path, tensor->name,
                        ft_linear_name(key->linear));
    return FT_OK;
}

static ft_status check_keys(inspection *v)
{
    ft_adapter_key key;
    for (int i = 0; i < v->file.n_tensors; i++) {
        FT_TRY(parse_key(v, &v->file.tensors[i], &key));
        FT_TRY(check_shape(v, &v->file.tensors[i], &key));
        if (key.layer >= v->layers) v->layers = key.layer + 1;
    }
    return v->layers > 0 ? FT_OK : ft_error(FT_E_INPUT, "%s: holds no tensor", v->file.path);
}

// Layers are as many as tensors could make, or one of them is missing: `seen` never outgrows the header.
static ft_status check_complete(inspection *v)
{
    if (v->layers > v->file.n_tensors)
        return ft_error(FT_E_INPUT, "%s: layer %lld is there but not all layers below it", v->file.path, (long long)v->layers - 1);
    FT_ALLOC_CHECK(v->seen = FT_NEW_ARRAY(uint8_t, v->layers * FT_LINEAR_COUNT * 2));
    for (int i = 0; i < v->file.n_tensors; i++) {
        ft_adapter_key key;
        FT_TRY(parse_key(v, &v->file.tensors[i], &key));
        v->seen[(key.layer * FT_LINEAR_COUNT + key.linear) * 2 + key.is_b] = 1;
    }
    for (int64_t i = 0; i < v->layers * FT_LINEAR_COUNT * 2; i++) {
        ft_linear linear = (ft_linear)(i / 2 % FT_LINEAR_COUNT);
        if ((v->targets >> linear & 1) && !v->seen[i])
            return ft_error(FT_E_INPUT, "%s: lora_%c of layer %lld's %s is missing", v->file.path, i % 2 ? 'B' : 'A',
                            (long long)(i / 2 / FT_LINEAR_COUNT), ft_linear_name(linear));
    }
    return FT_OK;
}

static bool any_value(const float *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (values[i] != 0) return true;
    return false;
}

static ft_status read_values(inspection *v)
{
    int64_t largest = 0;
    for (int i = 0; i < v->file.n_tensors; i++)
        if (v->file.tensors[i].elements > largest) largest = v->file.tensors[i].elements;
    float *values = FT_NEW_ARRAY(float, largest);
    FT_ALLOC_CHECK(values);
    ft_status status = FT_OK;
    for (int i = 0; i < v->file.n_tensors && status == FT_OK; i++) {
        const ft_tensor_info *tensor = &v->file.tensors[i];
        ft_adapter_key key;
        FT_TRY_GOTO(status, out, parse_key(v, tensor, &key));
        FT_TRY_GOTO(status, out, ft_adapter_read_tensor(&v->file, tensor, values));
        *(key.is_b ? &v->any_b : &v->any_a) |= any_value(values, tensor->elements);
    }
out:
    ft_free(values);
    return status;
}

ft_status ft_adapter_check(const char *directory, bool *all_zero)
{
    inspection v = {0};
    double alpha, dropout;
    bool rslora;
    FT_TRY(ft_adapter_read_config(directory, &v.r, &alpha, &dropout, &rslora, &v.targets));
    FT_TRY(ft_adapter_open_weights(&v.file, directory));
    ft_status status = check_keys(&v);
    if (status == FT_OK) status = check_complete(&v);
    if (status == FT_OK) status = read_values(&v);
    *all_zero = !v.any_a || !v.any_b;
    ft_free(v.seen);
    ft_safetensors_close(&v.file);
    return status;
}

ft_status ft_adapter_verify(const char *directory)
{
    bool all_zero;
    FT_TRY(ft_adapter_check(directory, &all_zero));
    if (all_zero) ft_warn("%s: every B (or every A) is zero: the adapter changes nothing", directory);
    return FT_OK;
}
