// One layer visit: weights in the form GEMMs read, and a micro-batch's inputs on the device.
#include <string.h>

#include "model/model_internal.h"

static const ft_compute_form *form_of(const ft_model *model, int64_t layer)
{
    return &model->plan->form[layer];
}

// Where the layer's form stands: in a block of its own, or in the one that is shared.
static char *form_block(const ft_model *model, int64_t layer)
{
    const ft_plan *plan = model->plan;
    return model->form + (layer < plan->resident_forms ? layer : plan->resident_forms) * plan->form_bytes;
}

static const void *tensor_address(const ft_model *model, const ft_lease *lease, const ft_record_tensor *tensor)
{
    int64_t offset = form_of(model, lease->layer)->offset[tensor - lease->record->tensor];
    return offset < 0 ? (const void *)(lease->base + tensor->codes) : form_block(model, lease->layer) + offset;
}

static bool is_fp8(const ft_model *model, int64_t layer, ft_group group)
{
    return group < FT_GROUP_MATRICES && form_of(model, layer)->repr[group] == FT_REPR_E4M3;
}

// A matrix in the form its products read. F32 and bf16: the form, or the tensor as it is stored. E4M3: codes as stored, W^T
// codes from the form, and the stored scale grids unless the form has its own.
static ft_weight weight_of(const ft_model *model, const ft_lease *lease, const ft_record_tensor *tensor)
{
    const ft_compute_form *form = form_of(model, lease->layer);
    const char *block = form_block(model, lease->layer);
    int64_t index = tensor - lease->record->tensor;
    ft_weight weight = {.data = (void *)(uintptr_t)tensor_address(model, lease, tensor), .rows = tensor->rows, .cols = tensor->cols, .ld = tensor->cols};
    if (model->plan->repr == FT_REPR_F32) return weight;  // FT_REPR_F32 is 0
    weight.repr = form->repr[tensor->group];
    if (weight.repr == FT_REPR_BF16) {
        weight.ld = form->ld[tensor->group];
        return weight;
    }
    ft_matrix stored = ft_record_matrix(tensor, lease->base);
    weight.data_t = weight.data;
    weight.data = (void *)(uintptr_t)stored.codes;
    weight.kind = stored.kind;
    weight.scales = form->scales[index] < 0 ? stored.scales : (const float *)(const void *)(block + form->scales[index]);
    weight.scales_t = form->scales_t[index] < 0 ? stored.scales_t : (const float *)(const void *)(block + form->scales_t[index]);
    return weight;
}

static ft_status prepare_tensor(ft_model *model, const ft_lease *lease, const ft_record_tensor *tensor)
{
    int64_t offset = form_of(model, lease->layer)->offset[tensor - lease->record->tensor];
    if (offset < 0) return FT_OK;
    if (tensor->group == FT_GROUP_SMALL)
        return model->ops->vector_prepare(model->queue, (float *)(void *)(form_block(model, lease->layer) + offset), lease->base + tensor->codes,
                                          tensor->dtype, tensor->rows * tensor->cols);
    // The way forward reads stored codes; W^T codes, and grids of one scale, are made on the way back.
    bool codes_serve = is_fp8(model, lease->layer, tensor->group) && tensor->kind != FT_SCALE_TENSOR;
    if (codes_serve && lease->direction == FT_FORWARD && lease->layer >= model->plan->resident_forms) return FT_OK;
    ft_matrix stored = ft_record_matrix(tensor, lease->base);
    ft_weight weight = weight_of(model, lease, tensor);
    return model->ops->weight_prepare(model->queue, &weight, &stored);
}

// Some product reads the group's codes as they are stored.
static bool used_in_place(const ft_model *model, const ft_lease *lease, ft_group group)
{
    if (is_fp8(model, lease->layer, group)) return true;
    for (int i = 0; i < lease->record->n_tensors; i++)
        if (lease->record->tensor[i].group == group && form_of(model, lease->layer)->offset[i] < 0) return true;
    return false;
}

// Whether the group's form need not be made: it stays resident and stands, or it was left by the visit before (float32 and
// bf16 forms serve both directions, W^T codes were not made on the way forward).
static bool stands(const ft_model *model, const ft_lease *lease, ft_group group)
{
    if (lease->layer < model->plan->resident_forms) return lease->layer < model->forms_made;
    return model->form_layer == lease->layer && !is_fp8(model, lease->layer, group);
}

// Await, convert, give back, group by group in the order they arrive. Codes that GEMMs read as stored are kept until the end
// of the visit.
static ft_status prepare_group(ft_model *model, const ft_lease *lease, ft_group group)
{
    const ft_record *record = lease->record;
    if (record->extent[group].bytes == 0) return FT_OK;
    bool in_place = used_in_place(model, lease, group), standing = stands(model, lease, group);
    if (!standing || in_place) FT_TRY(ft_streamer_await(model->streamer, lease, group, model->queue));
    for (int i = 0; i < record->n_tensors && !standing; i++)
        if (record->tensor[i].group == group) FT_TRY(prepare_tensor(model, lease, &record->tensor[i]));
    return in_place ? FT_OK : ft_streamer_release(model->streamer, lease, group, model->queue);
}

static const float *vector_of(const ft_model *model, const ft_lease *lease, ft_role role)
{
    const ft_record_tensor *tensor = ft_record_find(lease->record, role);
    return tensor ? tensor_address(model, lease, tensor) : NULL;
}

static const ft_role bias_role[FT_LINEAR_COUNT] = {FT_ROLE_Q_BIAS, FT_ROLE_K_BIAS, FT_ROLE_V_BIAS, FT_ROLE_COUNT, FT_ROLE_COUNT,
                                                   FT_ROLE_COUNT, FT_ROLE_COUNT};

// Weights of a group: one a part, one for all parts, or (CUDA, bf16) the parts stacked by the form.
static void set_weights(const ft_model *model, const ft_lease *lease, ft_group group, ft_linear first, ft_linear_group *g)
{
    for (int part = 0; part < g->n_parts; part++) {
        const ft_record_tensor *tensor = ft_record_find(lease->record, ft_linear_role((ft_linear)(first + part)));
        if (tensor->role == ft_linear_role((ft_linear)(first + part))) g->weight[g->n_weights++] = weight_of(model, lease, tensor);
    }
    if (g->weight[0].repr != FT_REPR_BF16) return;
    for (int w = 1; w < g->n_weights; w++) g->weight[0].rows += g->weight[w].rows;
    g->n_weights = 1;
}

static void set_fold(const ft_model *model, const ft_lease *lease, ft_group group, ft_linear_group *g)
{
    g->fold = model->plan->activation.fold[group];
    if (g->fold == 0) return;
    const ft_compute_form *form = form_of(model, lease->layer);
    char *block = form_block(model, lease->layer);
    g->fold_a = block + form->fold_a[group];
    g->fold_b = block + form->fold_b[group];
    g->fold_a_ld = form->fold_a_ld[group];
    g->fold_b_ld = form->fold_b_ld[group];
}

static ft_linear_group group_of(const ft_model *model, const ft_lease *lease, ft_group group, const ft_step_options *options)
{
    const ft_shape *shape = &model->plan->layout.shape;
    ft_linear_group g = {0};
    ft_linear first;
    ft_group_linears(group, &first, &g.n_parts);
    set_weights(model, lease, group, first, &g);
    set_fold(model, lease, group, &g);
    for (int part = 0; part < g.n_parts; part++) {
        ft_linear linear = (ft_linear)(first + part);
        int64_t in;
        ft_shape_linear(shape, linear, &g.out[part], &in);
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
    static const ft_group order[] = {FT_GROUP_SMALL, FT_GROUP_QKV, FT_GROUP_O, FT_GROUP_GATE_UP, FT_GROUP_DOWN};
    for (int i = 0; i < FT_GROUP_COUNT; i++) FT_TRY(prepare_group(model, &visit->lease, order[i]));
    bool resident = layer < model->plan->resident_forms;
    if (!resident) model->form_layer = layer;
    else if (layer == model->forms_made) model->forms_made++;
    visit->layer = (ft_layer_visit){.shape = &model->plan->layout.shape, .ops = model->ops, .queue = model->queue, .layer = layer,
                                    .rope = &model->rope, .activation = &model->plan->activation, .scratch = model->scratch,
                                    .workspace = model->workspace};
    for (int group = 0; group < FT_GROUP_MATRICES; group++)
        visit->layer.group[group] = group_of(model, &visit->lease, (ft_group)group, options);
    // Masters change between steps: their bf16 copies are made on the way forward, and again where the form was.
    for (int group = 0; group < FT_GROUP_MATRICES && (direction == FT_FORWARD || !resident); group++)
        FT_TRY(model->ops->lora_prepare(model->queue, &visit->layer.group[group]));
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
        if (record->extent[group].bytes && used_in_place(model, &visit->lease, (ft_group)group))
            FT_TRY(ft_streamer_release(model->streamer, &visit->lease, (ft_group)group, model->queue));
    return FT_OK;
}

static ft_status check_ids(const ft_shape *shape, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= shape->vocab)
            return ft_error(FT_E_INPUT, "token id %d is outside the model's vocabulary of %lld; the tokenizer does not belong to the model",
                            ids[i], (long long)shape->vocab);
    return FT_OK;
}

// The table as the device reads it: its own, or host memory, over the link and only the rows that are asked for.
static const char *embedding_table(const ft_model *model)
{
    int record = ft_layout_embed(&model->plan->layout);
    const void *resident = ft_streamer_resident(model->streamer, record);
    return resident ? resident : ft_streamer_host_record(model->streamer, record);
}

// Two staging buffers for an embedding on NVMe: the rows of one micro-batch are gathered while the other's copy may still run.
ft_status ft_model_embed(ft_model *model, int64_t index, ft_view x, const int32_t *ids, int64_t n)
{
    const ft_layout *layout = &model->plan->layout;
    const ft_record_tensor *tensor = ft_record_find(&layout->record[ft_layout_embed(layout)], FT_ROLE_EMBED);
    FT_TRY(check_ids(&layout->shape, ids, n));
    batch_slot *slot = &model->slot[index];
    if (slot->ids != NULL) {
        const char *record = embedding_table(model);
        memcpy(slot->host_ids, ids, (size_t)n * 4);
        FT_TRY(ft_copy_h2d(model->queue, slot->ids, slot->host_ids, n * 4));
        return model->ops->embed(model->queue, x, record + tensor->codes, tensor->dtype, slot->ids);
    }
    int buffer = (int)(model->embeds++ & 1);
    FT_TRY(ft_event_sync(model->staged[buffer]));
    FT_TRY(ft_streamer_embedding_rows(model->streamer, model->embed_host[buffer], ids, n));
    FT_TRY(ft_copy_h2d(model->queue, model->embed_device, model->embed_host[buffer], n * layout->shape.hidden * (int64_t)ft_dtype_bytes(tensor->dtype)));
    FT_TRY(ft_event_record(model->staged[buffer], model->queue));
    return model->ops->embed(model->queue, x, model->embed_device, tensor->dtype, NULL);
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
