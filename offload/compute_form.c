// Where each piece of a layer's compute form lies (offload/activation.h).
#include "common/memory.h"
#include "offload/activation.h"

static int64_t take(ft_compute_form *form, int64_t bytes)
{
    int64_t at = form->bytes;
    form->bytes += (int64_t)ft_arena_round((size_t)bytes);
    return at;
}

static void form_cpu(ft_compute_form *form, const ft_record *record, int i)
{
    const ft_record_tensor *tensor = &record->tensor[i];
    if (tensor->dtype != FT_DTYPE_F32) form->offset[i] = take(form, tensor->rows * tensor->cols * 4);
}

static bool fp8_group(const ft_record *record, int group)
{
    for (int i = 0; i < record->n_tensors; i++) {
        const ft_record_tensor *tensor = &record->tensor[i];
        if ((int)tensor->group != group) continue;
        if (tensor->kind == FT_SCALE_NONE || tensor->rows % 128 != 0 || tensor->cols % 128 != 0) return false;
    }
    return true;
}

static void group_size(const ft_record *record, int group, int64_t *out, int64_t *in)
{
    *out = *in = 0;
    for (int i = 0; i < record->n_tensors; i++) {
        if ((int)record->tensor[i].group != group) continue;
        *out += record->tensor[i].rows;
        *in = record->tensor[i].cols;
    }
}

// [out + fold, in + fold] in bf16: the matrices stacked, fold_b to their right, fold_a below.
static void form_bf16(ft_compute_form *form, const ft_record *record, int group, int64_t fold)
{
    int64_t out, in, row = 0;
    group_size(record, group, &out, &in);
    int64_t ld = in + fold, base = take(form, (out + fold) * ld * 2);
    form->repr[group] = FT_REPR_BF16;
    form->base[group] = base;
    form->ld[group] = form->fold_a_ld[group] = form->fold_b_ld[group] = ld;
    form->fold_b[group] = base + in * 2;
    form->fold_a[group] = base + out * ld * 2;
    for (int i = 0; i < record->n_tensors; i++) {
        if ((int)record->tensor[i].group != group) continue;
        form->offset[i] = base + row * ld * 2;
        row += record->tensor[i].rows;
    }
}

static void form_fp8(ft_compute_form *form, const ft_record *record, int group, int64_t fold)
{
    int64_t out, in;
    group_size(record, group, &out, &in);
    form->repr[group] = FT_REPR_E4M3;
    for (int i = 0; i < record->n_tensors; i++) {
        const ft_record_tensor *tensor = &record->tensor[i];
        if ((int)tensor->group != group) continue;
        form->offset[i] = take(form, tensor->rows * tensor->cols);
        bool tensor_scale = tensor->kind == FT_SCALE_TENSOR, row_scale = tensor->kind == FT_SCALE_ROW;
        if (tensor_scale) form->scales[i] = take(form, (int64_t)ft_scale_count(FT_SCALE_TILE, tensor->rows, tensor->cols) * 4);
        if (tensor_scale || row_scale) form->scales_t[i] = take(form, (int64_t)ft_scale_count(FT_SCALE_TILE, tensor->cols, tensor->rows) * 4);
    }
    form->fold_a[group] = take(form, fold * in * 2);
    form->fold_a_ld[group] = in;
    form->fold_b[group] = take(form, out * fold * 2);
    form->fold_b_ld[group] = fold;
}

void ft_compute_form_make(ft_compute_form *form, const ft_record *record, const ft_activation_layout *activation, ft_compute compute)
{
    *form = (ft_compute_form){0};
    for (int i = 0; i < FT_RECORD_TENSORS; i++) form->offset[i] = form->scales[i] = form->scales_t[i] = -1;
    for (int i = 0; i < record->n_tensors; i++) {
        const ft_record_tensor *tensor = &record->tensor[i];
        if (tensor->group == FT_GROUP_SMALL) form->offset[i] = take(form, tensor->rows * tensor->cols * 4);
        else if (compute == FT_COMPUTE_F32) form_cpu(form, record, i);
    }
    if (compute == FT_COMPUTE_F32) return;
    for (int group = 0; group < FT_GROUP_MATRICES; group++) {
        bool fp8 = compute == FT_COMPUTE_FP8 && fp8_group(record, group);
        (fp8 ? form_fp8 : form_bf16)(form, record, group, activation->fold[group]);
    }
}
