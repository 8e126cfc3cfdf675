#include "model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "offload/activation.h"

static int64_t round_floats(int64_t n)
{
    return (n + FT_LORA_ALIGN - 1) / FT_LORA_ALIGN * FT_LORA_ALIGN;
}

static void add_tensor(ft_adapter_layout *layout, int64_t layer, ft_linear linear, bool is_b, int64_t rows, int64_t cols)
{
    layout->tensor[layout->n_tensors++] = (ft_adapter_tensor){layer, linear, is_b, rows, cols, layout->n_floats};
    layout->n_floats += round_floats(rows * cols);
}

ft_status ft_adapter_layout_make(ft_adapter_layout *layout, const ft_shape *shape, int64_t r, double alpha, double dropout,
                                 bool rslora, unsigned targets)
{
    *layout = (ft_adapter_layout){.r = r, .alpha = alpha, .dropout = dropout, .rslora = rslora, .targets = targets};
    if (r < 1 || (targets & FT_LINEAR_ALL) == 0) return ft_error(FT_E_USAGE, "lora_r must be at least 1 and at least one linear targeted");
    layout->scale = (float)(rslora ? alpha / sqrt((double)r) : alpha / (double)r);
    layout->tensor = FT_NEW_ARRAY(ft_adapter_tensor, shape->layers * FT_LINEAR_COUNT * 2);
    layout->index = FT_NEW_ARRAY(int64_t, shape->layers * FT_LINEAR_COUNT);
    if (layout->tensor == NULL || layout->index == NULL) {
        ft_adapter_layout_free(layout);
        return FT_E_NOMEM;
    }
    for (int64_t layer = 0; layer < shape->layers; layer++) {
        for (int linear = 0; linear < FT_LINEAR_COUNT; linear++) {
            int64_t *index = &layout->index[layer * FT_LINEAR_COUNT + linear];
            *index = -1;
            if (!(targets & (1u << linear))) continue;
            int64_t out, in;
            ft_shape_linear(shape, (ft_linear)linear, &out, &in);
            *index = layout->n_tensors;
            add_tensor(layout, layer, (ft_linear)linear, false, r, in);
            add_tensor(layout, layer, (ft_linear)linear, true, out, r);
        }
    }
    FT_ASSERT(layout->n_floats == ft_lora_floats(shape, r, targets));
    return FT_OK;
}

void ft_adapter_layout_free(ft_adapter_layout *layout)
{
    ft_free(layout->tensor);
    ft_free(layout->index);
    *layout = (ft_adapter_layout){0};
}

void ft_adapter_tensor_name(const ft_shape *shape, const ft_adapter_tensor *tensor, char name[FT_TENSOR_NAME + 64])
{
    char weight[FT_TENSOR_NAME];
    ft_shape_tensor_name(shape, ft_linear_role(tensor->linear), tensor->layer, weight);
    size_t stem = strlen(weight) - strlen(".weight");
    snprintf(name, FT_TENSOR_NAME + 64, "base_model.model.%.*s.lora_%c.weight", (int)stem, weight, tensor->is_b ? 'B' : 'A');
}

void ft_adapter_init(const ft_adapter_layout *layout, float *parameters, uint64_t seed)
{
    memset(parameters, 0, (size_t)layout->n_floats * sizeof(float));
    for (int64_t t = 0; t < layout->n_tensors; t++) {
        const ft_adapter_tensor *tensor = &layout->tensor[t];
        if (tensor->is_b) continue;
        float bound = (float)(1.0 / sqrt((double)tensor->cols));
        float *a = parameters + tensor->offset;
        for (int64_t i = 0; i < tensor->rows * tensor->cols; i++) {
            ft_rng_block block = ft_rng(seed, FT_RNG_INIT, (uint32_t)t, (uint32_t)(i / 4), (uint32_t)((i / 4) >> 32), 0);
            a[i] = (2 * ft_rng_uniform(block.word[i % 4]) - 1) * bound;
        }
    }
}

ft_lora ft_adapter_view(const ft_adapter_layout *layout, int64_t layer, ft_linear linear, const float *parameters, float *gradients)
{
    int64_t index = layout->index[layer * FT_LINEAR_COUNT + linear];
    if (index < 0) return (ft_lora){0};
    int64_t a = layout->tensor[index].offset, b = layout->tensor[index + 1].offset;
    return (ft_lora){.a = parameters + a, .b = parameters + b, .da = gradients ? gradients + a : NULL,
                     .db = gradients ? gradients + b : NULL, .r = layout->r, .scale = layout->scale};
}
