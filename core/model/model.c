// Opening a model: every arena the plan proved, carved in one place.
#include "model/model.h"

#include <string.h>

#include "model/model_internal.h"
#include "offload/streamer_verify.h"

static ft_status open_memory(ft_model *model)
{
    const ft_plan *plan = model->plan;
    int64_t bytes = plan->tier_bytes[FT_TIER_HBM];
    FT_TRY(ft_device_alloc(model->device, bytes, &model->hbm));
    ft_arena_init(&model->arena, "device", model->hbm, (size_t)bytes);
    int64_t host = plan->tier_bytes[FT_TIER_HOST] - plan->line[FT_LINE_PROCESS];
    return ft_pool_create(&model->pool, model->device, host, ft_device_get_info(model->device)->numa_node);
}

static ft_status open_ops(ft_model *model)
{
    const ft_plan_request *request = &model->plan->request;
    const ft_shape *shape = &model->plan->layout.shape;
    const int64_t *ld = model->plan->activation.ld;
    ft_ops_options options = {.attention = ft_layer_attention(shape), .rows = model->plan->micro_batch_tokens, .max_length = request->max_document,
                              .max_docs = request->max_docs, .qkv_ld = ld[FT_ACT_QKV], .o_ld = ld[FT_ACT_ATTN], .d_o_ld = ld[FT_ACT_D_ATTN],
                              .dqkv_ld = ld[FT_ACT_D_QKV], .train = model->train, .deterministic = model->deterministic,
                              .gemm_table = model->gemm_table};
    return model->ops->open(model->queue, &options);
}

static ft_status open_streamer(ft_model *model)
{
    ft_streamer_options options = {.plan = model->plan, .store = model->store, .device = model->device, .pool = model->pool, .hbm = &model->arena,
                                   .copy_piece_bytes = model->plan->machine.copy_piece, .trace = model->trace};
    return ft_streamer_open(&model->streamer, &options);
}

static ft_status open_verify(ft_model *model, int64_t stripes)
{
    if (stripes == 0) return FT_OK;
    int64_t bytes = ft_verify_bytes(&model->plan->layout);
    ft_verify_options options = {.stripes = stripes, .ops = model->ops, .device = ft_arena_take(&model->arena, (size_t)bytes),
                                 .host = ft_pool_take(model->pool, bytes)};
    return ft_streamer_verify_open(model->streamer, &options);
}

// CUDA multiplies by a bf16 head.
static ft_status convert_head(ft_model *model)
{
    int64_t bytes = ft_plan_head_form_bytes(model->plan);
    if (bytes == 0) return FT_OK;
    ft_weight copy = {.data = ft_arena_take(&model->arena, (size_t)bytes), .repr = FT_REPR_BF16, .rows = model->head.rows,
                      .cols = model->head.cols, .ld = model->head.cols};
    FT_TRY(model->ops->weight_prepare(model->queue, &copy, &model->head));
    model->head.codes = copy.data;
    model->head.dtype = FT_DTYPE_BF16;
    return FT_OK;
}

// Final norm and head matrix, both resident; a tied head is the device's copy of the embedding record.
static ft_status open_head(ft_model *model)
{
    const ft_layout *layout = &model->plan->layout;
    int head = ft_layout_head(layout), matrix = layout->shape.tied ? ft_layout_embed(layout) : head;
    const char *base = ft_streamer_resident(model->streamer, head), *matrix_base = ft_streamer_resident(model->streamer, matrix);
    FT_ASSERT(base != NULL && matrix_base != NULL, "the head is resident");
    const ft_record_tensor *norm = ft_record_find(&layout->record[head], FT_ROLE_FINAL_NORM);
    model->final_norm = ft_arena_take(&model->arena, (size_t)layout->shape.hidden * 4);
    model->head = ft_record_matrix(ft_record_find(&layout->record[matrix], layout->shape.tied ? FT_ROLE_EMBED : FT_ROLE_HEAD), matrix_base);
    FT_TRY(model->ops->vector_prepare(model->queue, model->final_norm, base + norm->codes, norm->dtype, layout->shape.hidden));
    return convert_head(model);
}

static ft_status open_rope(ft_model *model)
{
    const ft_shape *shape = &model->plan->layout.shape;
    int64_t positions = model->plan->request.sequence_len, half = shape->head_dim / 2;
    size_t bytes = (size_t)(positions * half) * sizeof(float);
    double frequency[1024];
    if (half > 1024) return ft_error(FT_E_UNSUPPORTED, "head_dim %lld: at most 2048 is supported", (long long)shape->head_dim);
    ft_rope_frequencies(frequency, shape->head_dim, shape->rope_theta, shape->rope == FT_ROPE_LLAMA3 ? shape->rope_factor : 0,
                        shape->rope_low_freq, shape->rope_high_freq, shape->rope_original_positions);
    float *host = ft_malloc(2 * bytes);
    FT_ALLOC_CHECK(host);
    ft_rope_tables(host, host + positions * half, frequency, positions, half);
    float *cosine = ft_arena_take(&model->arena, bytes), *sine = ft_arena_take(&model->arena, bytes);
    ft_status status = ft_copy_h2d(model->queue, cosine, host, (int64_t)bytes);
    if (status == FT_OK) status = ft_copy_h2d(model->queue, sine, host + positions * half, (int64_t)bytes);
    if (status == FT_OK) status = ft_queue_sync(model->queue);
    ft_free(host);
    model->rope = (ft_rope){cosine, sine, positions, half};
    return status;
}

static ft_status open_adapter(ft_model *model)
{
    if (model->adapter == NULL) return FT_OK;
    int64_t n = model->adapter->n_floats;
    FT_ASSERT(n == model->plan->lora_parameters, "plan and adapter disagree");
    size_t bytes = (size_t)n * sizeof(float);
    model->state = (ft_adapter_state){.n = n, .parameters = ft_arena_take(&model->arena, bytes)};
    if (!model->train) return FT_OK;
    model->state.gradients = ft_arena_take(&model->arena, bytes);
    model->state.moment1 = ft_arena_take(&model->arena, bytes);
    model->state.moment2 = ft_arena_take(&model->arena, bytes);
    return FT_OK;
}

static void carve_activations(ft_model *model)
{
    const int64_t *line = model->plan->line;
    model->boundaries = ft_arena_take(&model->arena, (size_t)line[FT_LINE_BOUNDARIES]);
    size_t stream = (size_t)(model->plan->micro_batches * model->plan->activation.boundary_bytes);
    bool two = line[FT_LINE_STREAM] > (int64_t)stream;
    model->stream[0] = ft_arena_take(&model->arena, stream);
    model->stream[1] = two ? ft_arena_take(&model->arena, stream) : model->stream[0];
    if (line[FT_LINE_BOUNDARY_STAGING] > 0)
        for (int i = 0; i < FT_PLAN_STAGING; i++) model->staging[i] = ft_arena_take(&model->arena, (size_t)model->plan->activation.boundary_bytes);
    model->kept = ft_arena_take(&model->arena, (size_t)line[FT_LINE_KEPT]);
    model->recompute = ft_arena_take(&model->arena, (size_t)line[FT_LINE_RECOMPUTE]);
    model->scratch = ft_arena_take(&model->arena, (size_t)line[FT_LINE_SCRATCH]);
    model->form = ft_arena_take(&model->arena, (size_t)line[FT_LINE_COMPUTE_FORM]);
    model->workspace_bytes = line[FT_LINE_WORKSPACE];
    model->workspace = ft_arena_take(&model->arena, (size_t)model->workspace_bytes);
}

// Which layers' inputs and saved blocks stay, and a streamer unit for every input that leaves.
static ft_status index_activations(ft_model *model)
{
    const ft_plan *plan = model->plan;
    int64_t layers = plan->layout.shape.layers, resident = 0, kept = 0;
    FT_ALLOC_CHECK(model->boundary_index = FT_NEW_ARRAY(int64_t, layers));
    FT_ALLOC_CHECK(model->kept_index = FT_NEW_ARRAY(int64_t, layers));
    FT_ALLOC_CHECK(model->unit = FT_NEW_ARRAY(int64_t, layers * plan->micro_batches));
    for (int64_t layer = 0; layer < layers; layer++) {
        bool stays = !model->train || plan->boundary_home[layer] == FT_TIER_HBM;
        model->boundary_index[layer] = stays ? resident++ : -1;
        model->kept_index[layer] = model->train && plan->keep[layer] ? kept++ : -1;
        for (int64_t m = 0; m < plan->micro_batches && !stays; m++) {
            int64_t unit = ft_streamer_unit_add(model->streamer, FT_UNIT_BOUNDARY, (ft_tier)plan->boundary_home[layer], plan->activation.boundary_bytes);
            if (unit < 0) return (ft_status)unit;
            model->unit[layer * plan->micro_batches + m] = unit;
        }
    }
    return ft_streamer_units_ready(model->streamer);
}

static ft_status open_batches(ft_model *model)
{
    const ft_plan *plan = model->plan;
    int64_t tokens = plan->micro_batch_tokens;
    int64_t rows = tokens * plan->layout.shape.hidden * (int64_t)ft_dtype_bytes(plan->layout.shape.dtype);
    bool gathered = plan->home[ft_layout_embed(&plan->layout)] != FT_TIER_NVME;
    FT_ALLOC_CHECK(model->slot = FT_NEW_ARRAY(batch_slot, plan->micro_batches));
    for (int64_t m = 0; m < plan->micro_batches; m++) {
        batch_slot *slot = &model->slot[m];
        slot->labels = ft_arena_take(&model->arena, (size_t)tokens * 4);
        slot->positions = ft_arena_take(&model->arena, (size_t)tokens * 4);
        slot->doc_begin = ft_arena_take(&model->arena, (size_t)(tokens + 1) * 4);
        slot->host_labels = ft_pool_take(model->pool, tokens * 4);
        slot->host_positions = ft_pool_take(model->pool, tokens * 4);
        slot->host_doc = ft_pool_take(model->pool, (tokens + 1) * 4);
        if (gathered) slot->ids = ft_arena_take(&model->arena, (size_t)tokens * 4);
        if (gathered) slot->host_ids = ft_pool_take(model->pool, tokens * 4);
    }
    for (int i = 0; i < 2 && !gathered; i++) {
        if (i == 0) model->embed_device = ft_arena_take(&model->arena, (size_t)rows);
        model->embed_host[i] = ft_pool_take(model->pool, rows);
        FT_TRY(ft_event_create(model->device, &model->staged[i]));
    }
    FT_TRY(ft_event_create(model->device, &model->uploaded));
    model->final_rstd = ft_arena_take(&model->arena, (size_t)tokens * 4);
    model->scalars = ft_arena_take(&model->arena, sizeof *model->scalars);
    model->host_scalars = ft_pool_take(model->pool, sizeof *model->host_scalars);
    for (int part = 0; part < (model->train ? 3 : 1) && model->state.n > 0; part++)
        model->snapshot[part] = ft_pool_take(model->pool, model->state.n * 4);
    return FT_OK;
}

ft_status ft_model_open(ft_model **out, const ft_model_options *options)
{
    ft_model *model = FT_NEW(ft_model);
    FT_ALLOC_CHECK(model);
    *model = (ft_model){.plan = options->plan, .store = options->store, .device = options->device, .adapter = options->adapter,
                        .train = options->train, .deterministic = options->deterministic, .gemm_table = options->gemm_table, .trace = options->trace,
                        .seed = options->seed, .form_layer = -1};
    model->ops = options->ops ? options->ops : ft_ops_for(ft_device_get_info(model->device)->kind);
    ft_status status = model->ops ? FT_OK : ft_error(FT_E_UNSUPPORTED, "this build has no kernels for the device");
    FT_ASSERT(options->train == options->plan->request.train);
    if (status == FT_OK) status = ft_queue_create(model->device, FT_QUEUE_COMPUTE, "compute", &model->queue);
    if (status == FT_OK) status = open_ops(model);
    if (status == FT_OK) status = open_memory(model);
    if (status == FT_OK) status = open_streamer(model);
    if (status == FT_OK) status = open_verify(model, options->verify_stripes);
    if (status == FT_OK) status = open_head(model);
    if (status == FT_OK) status = open_rope(model);
    if (status == FT_OK) status = open_adapter(model);
    if (status == FT_OK) {
        carve_activations(model);
        status = index_activations(model);
    }
    if (status == FT_OK) status = open_batches(model);
    if (status == FT_OK) status = ft_queue_sync(model->queue);
    if (status != FT_OK) {
        ft_model_close(model);
        return status;
    }
    *out = model;
    return FT_OK;
}

void ft_model_close(ft_model *model)
{
    if (model == NULL) return;
    if (model->queue) ft_queue_sync(model->queue);
    if (model->streamer) ft_streamer_close(model->streamer);
    for (int i = 0; i < 2; i++)
        if (model->staged[i]) ft_event_destroy(model->staged[i]);
    if (model->uploaded) ft_event_destroy(model->uploaded);
    if (model->pool) ft_pool_destroy(model->pool);
    if (model->hbm) ft_device_free(model->device, model->hbm);
    if (model->queue) ft_queue_destroy(model->queue);
    ft_free(model->boundary_index);
    ft_free(model->kept_index);
    ft_free(model->unit);
    ft_free(model->slot);
    ft_free(model);
}

ft_adapter_state ft_model_adapter(ft_model *model) { return model->state; }
ft_queue *ft_model_queue(ft_model *model) { return model->queue; }
const ft_ops *ft_model_ops(ft_model *model) { return model->ops; }
ft_streamer *ft_model_streamer(ft_model *model) { return model->streamer; }
ft_meter *ft_model_meter(ft_model *model) { return ft_streamer_meter(model->streamer); }
const ft_pool *ft_model_pool(const ft_model *model) { return model->pool; }

void *ft_model_workspace(ft_model *model, int64_t *bytes)
{
    *bytes = model->workspace_bytes;
    return model->workspace;
}

float *ft_model_snapshot(ft_model *model, int part) { return model->snapshot[part]; }

ft_view ft_model_view(const ft_model *model, void *data, int64_t rows)
{
    const ft_plan *plan = model->plan;
    return (ft_view){.data = data, .repr = plan->repr, .rows = rows, .cols = plan->layout.shape.hidden, .ld = plan->activation.stream_ld};
}
