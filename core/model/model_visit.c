// One layer visit: weights in the form GEMMs read, and a micro-batch's inputs on the device.
#include <string.h>

#include "model/model_internal.h"

static bool is_vector(const ft_record_tensor *tensor)
{
    return tensor->group == FT_GROUP_SMALL;
}

// The compute form of one record tensor, or the tensor as it is stored.
static ft_status prepare_tensor(ft_model *model, const ft_record_tensor *tensor, const ft_compute_form *form, int index, const char *base)
{
    if (form->offset[index] < 0) return FT_OK;
    char *at = model->form + form->offset[index];
    if (is_vector(tensor))
        return model->ops->vector_prepare(model->queue, (float *)(void *)at, base + tensor->codes, tensor->dtype, tensor->rows * tensor->cols);
    ft_matrix stored = ft_record_matrix(tensor, base);
    ft_weight weight = {.data = at, .repr = model->plan->repr, .rows = tensor->rows, .cols = tensor->cols, .ld = tensor->cols};
    return model->ops->weight_prepare(model->queue, &weight, &stored);
}

static bool used_in_place(const ft_record *record, const ft_compute_form *form, ft_group group)
{
    for (int i = 0; i < record->n_tensors; i++)
        if (record->tensor[i].group == group && form->offset[i] < 0) return true;
    return false;
}

// Await, convert, give back, group by group in the order they arrive. Codes that GEMMs read as stored are kept until the end
// of the visit. At the turn the form already stands.
static ft_status prepare_group(ft_model *model, const ft_lease *lease, ft_group group, bool standing)
{
    const ft_record *record = lease->record;
    if (record->extent[group].bytes == 0) return FT_OK;
    const ft_compute_form *form = &model->plan->form[lease->layer];
    bool in_place = used_in_place(record, form, group);
    if (!standing || in_place) FT_TRY(ft_streamer_await(model->streamer, lease, group, model->queue));
    for (int i = 0; i < record->n_tensors && !standing; i++)
        if (record->tensor[i].group == group) FT_TRY(prepare_tensor(model, &record->tensor[i], form, i, lease->base));
    return in_place ? FT_OK : ft_streamer_release(model->streamer, lease, group, model->queue);
}

static const void *tensor_address(const ft_model *model, const ft_lease *lease, const ft_record_tensor *tensor)
{
    int64_t index = tensor - lease->record->tensor;
    int64_t offset = model->plan->form[lease->layer].offset[index];
    return offset < 0 ? (const void *)(lease->base + tensor->codes) : model->form + offset;
}

static const float *vector_of(const ft_model *model, const ft_lease *lease, ft_role role)
{
    const ft_record_tensor *tensor = ft_record_find(lease->record, role);
    return tensor ? tensor_address(model, lease, tensor) : NULL;
}

static ft_weight weight_of(const ft_model *model, const ft_lease *lease, const ft_record_tensor *tensor)
{
    ft_repr repr = tensor->dtype == FT_DTYPE_F32 ? FT_REPR_F32 : model->plan->repr;
    return (ft_weight){.data = (void *)(uintptr_t)tensor_address(model, lease, tensor), .repr = repr, .rows = tensor->rows,
                       .cols = tensor->cols, .ld = tensor->cols};
}

static const ft_role bias_role[FT_LINEAR_COUNT] = {FT_ROLE_Q_BIAS, FT_ROLE_K_BIAS, FT_ROLE_V_BIAS, FT_ROLE_COUNT, FT_ROLE_COUNT,
                                                   FT_ROLE_COUNT, FT_ROLE_COUNT};

static ft_linear_group group_of(const ft_model *model, const ft_lease *lease, ft_group group, const ft_step_options *options)
{
    const ft_shape *shape = &model->plan->layout.shape;
    ft_linear_group g = {0};
    ft_linear first;
    ft_group_linears(group, &first, &g.n_parts);
    for (int part = 0; part < g.n_parts; part++) {
        ft_linear linear = (ft_linear)(first + part);
        int64_t in;
        ft_shape_linear(shape, linear, &g.out[part], &in);
        const ft_record_tensor *tensor = ft_record_find(lease->record, ft_linear_role(linear));
        if (tensor->role == ft_linear_role(linear)) g.weight[g.n_weights++] = weight_of(model, lease, tensor);
        if (bias_role[linear] != FT_ROLE_COUNT) g.bias[part] = vector_of(model, lease, bias_role[linear]);
        if (model->adapter) {
            float *gradients = model->evaluating ? NULL : model->state.gradients;
            g.lora[part] = ft_adapter_view(model->adapter, lease->layer, linear, model->state.parameters, gradients);
        }
    }
    if (model->adapter && options)
        g.dropout = (ft_dropout){.p = (float)model->adapter->dropout, .seed = model->seed, .step = (uint32_t)options->step,
                                 .layer = (uint32_t)lease->layer, .group = (uint32_t)group};
    return g;
}

ft_status ft_model_visit_begin(ft_model *model, int64_t layer, ft_direction direction, const ft_step_options *options, model_visit *visit)
{
    FT_TRY(ft_streamer_acquire(model->streamer, (int)layer, direction, &visit->lease));
    // float32 and bf16 forms serve both directions; W^T codes (fp8) would not.
    bool standing = model->form_layer == layer && model->plan->request.compute != FT_COMPUTE_FP8;
    static const ft_group order[] = {FT_GROUP_SMALL, FT_GROUP_QKV, FT_GROUP_O, FT_GROUP_GATE_UP, FT_GROUP_DOWN};
    for (int i = 0; i < FT_GROUP_COUNT; i++) FT_TRY(prepare_group(model, &visit->lease, order[i], standing));
    model->form_layer = layer;
    visit->layer = (ft_layer_visit){.shape = &model->plan->layout.shape, .ops = model->ops, .queue = model->queue, .layer = layer,
                                    .rope = &model->rope, .activation = &model->plan->activation, .scratch = model->scratch,
                                    .workspace = model->workspace};
    for (int group = 0; group < FT_GROUP_MATRICES; group++)
        visit->layer.group[group] = group_of(model, &visit->lease, (ft_group)group, options);
    visit->layer.attn_norm = vector_of(model, &visit->lease, FT_ROLE_ATTN_NORM);
    visit->layer.mlp_norm = vector_of(model, &visit->lease, FT_ROLE_MLP_NORM);
    visit->layer.q_norm = vector_of(model, &visit->lease, FT_ROLE_Q_NORM);
    visit->layer.k_norm = vector_of(model, &visit->lease, FT_ROLE_K_NORM);
    return FT_OK;
}

ft_status ft_model_visit_end(ft_model *model, model_visit *visit)
{
    const ft_record *record = visit->lease.record;
    for (int group = 0; group < FT_GROUP_COUNT; group++)
        if (record->extent[group].bytes && used_in_place(record, &model->plan->form[visit->lease.layer], (ft_group)group))
            FT_TRY(ft_streamer_release(model->streamer, &visit->lease, (ft_group)group, model->queue));
    return FT_OK;
}

// Two staging buffers: the rows of one micro-batch are gathered while the other's copy may still run.
ft_status ft_model_embed(ft_model *model, ft_view x, const int32_t *ids, int64_t n)
{
    const ft_shape *shape = &model->plan->layout.shape;
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= shape->vocab)
            return ft_error(FT_E_INPUT, "token id %d is outside the model's vocabulary of %lld; the tokenizer does not belong to the model",
                            ids[i], (long long)shape->vocab);
    int buffer = (int)(model->embeds++ & 1);
    const ft_record_tensor *tensor = ft_record_find(&model->plan->layout.record[ft_layout_embed(&model->plan->layout)], FT_ROLE_EMBED);
    FT_TRY(ft_event_sync(model->staged[buffer]));
    FT_TRY(ft_streamer_embedding_rows(model->streamer, model->embed_host[buffer], ids, n));
    FT_TRY(ft_copy_h2d(model->queue, model->embed_device, model->embed_host[buffer], n * shape->hidden * (int64_t)ft_dtype_bytes(tensor->dtype)));
    FT_TRY(ft_event_record(model->staged[buffer], model->queue));
    return model->ops->embed(model->queue, x, model->embed_device, tensor->dtype);
}

static int32_t longest_document(const ft_model_batch *batch)
{
    int32_t longest = 0;
    for (int32_t d = 0; d < batch->n_docs; d++) {
        int32_t length = batch->doc_begin[d + 1] - batch->doc_begin[d];
        if (length > longest) longest = length;
    }
    return longest;
}

ft_status ft_model_upload(ft_model *model, int64_t index, const ft_model_batch *batch)
{
    batch_slot *slot = &model->slot[index];
    size_t bytes = (size_t)batch->tokens * 4, doc_bytes = (size_t)(batch->n_docs + 1) * 4;
    FT_ASSERT(batch->tokens <= model->plan->micro_batch_tokens && batch->n_docs <= batch->tokens);
    // Slot t predicts the token of slot t + 1; the first slot of a document is never predicted, so nothing crosses.
    memcpy(slot->host_labels, batch->labels + 1, bytes - 4);
    slot->host_labels[batch->tokens - 1] = -100;
    memcpy(slot->host_positions, batch->positions, bytes);
    memcpy(slot->host_doc, batch->doc_begin, doc_bytes);
    FT_TRY(ft_copy_h2d(model->queue, slot->labels, slot->host_labels, (int64_t)bytes));
    FT_TRY(ft_copy_h2d(model->queue, slot->positions, slot->host_positions, (int64_t)bytes));
    FT_TRY(ft_copy_h2d(model->queue, slot->doc_begin, slot->host_doc, (int64_t)doc_bytes));
    slot->batch = batch;
    slot->layer = (ft_layer_batch){.documents = {slot->host_doc, slot->doc_begin, batch->n_docs, longest_document(batch)},
                                   .positions = slot->positions, .token_base = (uint32_t)batch->token_base};
    int32_t limit = (int32_t)model->plan->request.sequence_len;
    for (int64_t t = 0; t < batch->tokens; t++) FT_ASSERT(batch->positions[t] >= 0 && batch->positions[t] < limit, "position outside the rope table");
    return FT_OK;
}
