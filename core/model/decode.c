// The prompt is one document through the layers as in training; the k and v columns it leaves in each layer's saved block become
// the cache. Then one token a sweep: the same ops on one row, attention against the cache.
#include "model/decode.h"

#include <string.h>

#include "model/model_internal.h"
#include "model/sample.h"

typedef struct {
    ft_model *model;
    const ft_shape *shape;
    int64_t length;                  // positions the cache has room for
    int64_t width;                   // values of k (and of v) at one position
    char *cache;                     // device: [layers][k, v][length, width]
    float *device_logits, *logits;   // [vocab]
    ft_candidate *candidates;        // [vocab]
    int32_t *labels, *positions;     // of the prompt
    ft_activation_layout prompt, single;  // blocks of the prompt and of one token, inside the plan's
    int64_t sweeps_left;             // announced and not yet run
} generation;

int64_t ft_generate_cache_bytes(const ft_shape *shape, int64_t length, ft_repr repr)
{
    return shape->layers * 2 * length * shape->kv_heads * shape->head_dim * ft_repr_bytes(repr);
}

static int64_t row_bytes(const generation *g)
{
    return g->width * ft_repr_bytes(g->model->plan->repr);
}

static char *cache_of(const generation *g, int64_t layer, bool v)
{
    return g->cache + (2 * layer + v) * g->length * row_bytes(g);
}

static ft_activation_layout layout_of(const ft_plan *plan, int64_t tokens)
{
    ft_activation_options options = {.tokens = tokens,
                                     .max_document = tokens,
                                     .head_chunk = plan->request.head_chunk,
                                     .mlp_chunk = plan->request.mlp_chunk,
                                     .tiled = plan->activation.tiled,
                                     .lora_r = plan->request.lora_r,
                                     .lora_targets = plan->request.lora_targets,
                                     .repr = plan->repr,
                                     .fp8 = plan->activation.twins,
                                     .max_docs = 1,
                                     .device = plan->machine.device};
    ft_activation_layout layout;
    ft_activation_layout_make(&layout, &plan->layout.shape, &options);
    FT_ASSERT(layout.saved_bytes <= plan->activation.saved_bytes && layout.scratch_bytes <= plan->activation.scratch_bytes);
    layout.workspace_bytes = plan->activation.workspace_bytes;
    return layout;
}

static void *address(const generation *g, ft_act act)
{
    return ft_activation_block(&g->single, act, g->model->recompute, g->model->scratch) + g->single.offset[act];
}

// One row of an activation tensor.
static ft_view row_of(const generation *g, ft_act act)
{
    return ft_activation_view(&g->single, act, ft_activation_block(&g->single, act, g->model->recompute, g->model->scratch));
}

// k and v of `rows` positions from a qkv block into the cache.
static ft_status remember(const generation *g, int64_t layer, ft_view qkv, int64_t position)
{
    ft_queue *queue = g->model->queue;
    int64_t bytes = row_bytes(g), element = ft_repr_bytes(qkv.repr), q = g->shape->q_heads * g->shape->head_dim * element;
    char *k = cache_of(g, layer, false) + position * bytes, *v = cache_of(g, layer, true) + position * bytes;
    for (int64_t row = 0; row < qkv.rows; row++) {
        const char *from = (const char *)qkv.data + row * qkv.ld * element + q;
        FT_TRY(ft_copy_d2d(queue, k + row * bytes, from, bytes));
        FT_TRY(ft_copy_d2d(queue, v + row * bytes, from + bytes, bytes));
    }
    return FT_OK;
}

static ft_status prompt_layer(const generation *g, ft_layer_visit *visit, int64_t layer, int64_t n)
{
    ft_model *model = g->model;
    ft_view x = ft_model_view(model, model->stream[0], n);
    visit->activation = &g->prompt;
    FT_TRY(ft_layer_forward(visit, &model->slot[0].layer, model->recompute, x, x));
    return remember(g, layer, ft_activation_view(&g->prompt, FT_ACT_QKV, model->recompute), 0);
}

static ft_status linear(const generation *g, const ft_layer_visit *v, ft_group group, ft_act low_rank, ft_view y, ft_act x, ft_view residual)
{
    return v->ops->linear_forward(v->queue, &v->group[group], y, row_of(g, x), residual, row_of(g, low_rank), v->workspace,
                                  g->single.workspace_bytes);
}

static ft_status norm(const generation *g, const ft_layer_visit *v, ft_act y, ft_view x, ft_act rstd, const float *weight)
{
    const ft_view none = {0};
    return v->ops->rmsnorm_forward(v->queue, row_of(g, y), none, address(g, rstd), x, none, weight, (float)g->shape->norm_eps);
}

// x -> attention output of the token at `position`; its k and v join the cache first.
static ft_status token_attention(const generation *g, const ft_layer_visit *v, int64_t layer, int64_t position, ft_view x)
{
    const ft_shape *s = g->shape;
    const ft_attention attention = ft_layer_attention(s);
    ft_view qkv = row_of(g, FT_ACT_QKV), q = qkv, none = {0};
    q.cols = s->q_heads * s->head_dim;
    FT_TRY(norm(g, v, FT_ACT_NORMED, x, FT_ACT_RSTD_ATTN, v->attn_norm));
    FT_TRY(linear(g, v, FT_GROUP_QKV, FT_ACT_S_QKV, qkv, FT_ACT_NORMED, none));
    if (v->q_norm)
        FT_TRY(v->ops->qk_norm_forward(v->queue, qkv, row_of(g, FT_ACT_QK_RAW), address(g, FT_ACT_QK_RSTD), &attention, v->q_norm, v->k_norm,
                                       (float)s->norm_eps));
    FT_TRY(v->ops->rope(v->queue, qkv, &attention, v->rope, g->model->slot[0].positions, +1));
    FT_TRY(remember(g, layer, qkv, position));
    return v->ops->attention_decode(v->queue, row_of(g, FT_ACT_ATTN), q, cache_of(g, layer, false), cache_of(g, layer, true), position + 1,
                                    &attention, v->workspace, g->single.workspace_bytes);
}

static ft_status token_layer(const generation *g, ft_layer_visit *v, int64_t layer, int64_t position)
{
    ft_view x = ft_model_view(g->model, g->model->stream[0], 1), mid = row_of(g, FT_ACT_MID), none = {0};
    const ft_act normed = g->single.tiled ? FT_ACT_TILE_NORMED : FT_ACT_NORMED;
    v->activation = &g->single;
    FT_TRY(token_attention(g, v, layer, position, x));
    FT_TRY(linear(g, v, FT_GROUP_O, FT_ACT_S_O, mid, FT_ACT_ATTN, x));
    FT_TRY(norm(g, v, normed, mid, FT_ACT_RSTD_MLP, v->mlp_norm));
    FT_TRY(linear(g, v, FT_GROUP_GATE_UP, FT_ACT_S_GATE_UP, row_of(g, FT_ACT_GATE_UP), normed, none));
    FT_TRY(v->ops->swiglu_forward(v->queue, row_of(g, FT_ACT_SWIGLU), row_of(g, FT_ACT_GATE_UP)));
    return linear(g, v, FT_GROUP_DOWN, FT_ACT_S_DOWN, x, FT_ACT_SWIGLU, mid);
}

// Logits of the last of n rows of the stream.
static ft_status head(const generation *g, int64_t n)
{
    ft_model *model = g->model;
    ft_view x = ft_model_view(model, model->stream[0] + (n - 1) * model->plan->activation.stream_ld * ft_repr_bytes(model->plan->repr), 1), none = {0};
    ft_head_options options = {.chunk = model->plan->request.head_chunk, .logits = g->device_logits};
    FT_TRY(model->ops->rmsnorm_forward(model->queue, row_of(g, FT_ACT_NORMED), none, model->final_rstd, x, none, model->final_norm,
                                       (float)g->shape->norm_eps));
    FT_TRY(model->ops->head_loss(model->queue, &model->scalars->nll, none, row_of(g, FT_ACT_NORMED), &model->head, model->slot[0].labels, &options,
                                 model->workspace, model->plan->activation.head_workspace_bytes));
    FT_TRY(ft_copy_d2h(model->queue, g->logits, g->device_logits, g->shape->vocab * 4));
    return ft_queue_sync(model->queue);
}

// One sweep over n new tokens at `position`: the whole prompt (position 0), or one token behind what the cache holds.
static ft_status sweep(generation *g, const int32_t *ids, int64_t n, int64_t position)
{
    ft_model *model = g->model;
    const int32_t documents[] = {0, (int32_t)n};
    const ft_model_batch batch = {
        .ids = ids, .labels = g->labels, .positions = g->positions + position, .doc_begin = documents, .n_docs = 1, .tokens = n};
    FT_TRY(ft_model_upload(model, 0, &batch));
    FT_TRY(ft_model_embed(model, 0, ft_model_view(model, model->stream[0], n), ids, n));
    for (int64_t layer = 0; layer < g->shape->layers; layer++) {
        model_visit visit;
        FT_TRY(ft_model_visit_begin(model, layer, FT_FORWARD, NULL, &visit));
        FT_TRY(position == 0 ? prompt_layer(g, &visit.layer, layer, n) : token_layer(g, &visit.layer, layer, position));
        FT_TRY(ft_model_visit_end(model, &visit));
    }
    g->sweeps_left--;
    return head(g, n);
}

static bool ends_here(const ft_generate_options *options, int32_t id)
{
    for (int i = 0; i < options->n_stop; i++)
        if (options->stop_ids[i] == id) return true;
    return false;
}

static ft_status run(generation *g, const int32_t *prompt, int64_t n_prompt, int64_t most, const ft_generate_options *options,
                     int32_t *out, int64_t *n_out)
{
    const ft_sampling sampling = {options->temperature, options->top_p, options->seed};
    FT_TRY(ft_model_announce(g->model, FT_SWEEP_EVALUATE, most));
    g->sweeps_left = most;
    FT_TRY(sweep(g, prompt, n_prompt, 0));
    for (int64_t position = n_prompt;; position++) {
        int32_t id;
        FT_TRY(ft_sample(&sampling, g->logits, g->shape->vocab, position, g->candidates, &id));
        out[(*n_out)++] = id;
        bool stop = options->on_token && options->on_token(options->context, id) != 0;
        if (stop || ends_here(options, id) || *n_out == most) return FT_OK;
        FT_TRY(sweep(g, &id, 1, position));
    }
}

// Announced sweeps that no token needed any more are dropped; the message of an error survives that.
static ft_status leave(generation *g, ft_status status)
{
    char message[FT_ERROR_MESSAGE_BYTES];
    if (g->sweeps_left == 0) return status;
    memcpy(message, ft_error_message(), sizeof message);
    ft_status synced = ft_queue_sync(g->model->queue), cancelled = ft_streamer_cancel(g->model->streamer);
    g->model->form_layer = -1;
    if (status != FT_OK) return ft_error_adopt(status, message);
    return synced != FT_OK ? synced : cancelled;
}

static ft_status take_memory(generation *g, int64_t n_prompt)
{
    void *cache, *logits;
    FT_TRY(ft_device_alloc(g->model->device, ft_generate_cache_bytes(g->shape, g->length, g->model->plan->repr), &cache));
    g->cache = cache;
    FT_TRY(ft_device_alloc(g->model->device, g->shape->vocab * 4, &logits));
    g->device_logits = logits;
    FT_ALLOC_CHECK(g->logits = FT_NEW_ARRAY(float, g->shape->vocab));
    FT_ALLOC_CHECK(g->candidates = FT_NEW_ARRAY(ft_candidate, g->shape->vocab));
    FT_ALLOC_CHECK(g->labels = FT_NEW_ARRAY(int32_t, n_prompt));
    FT_ALLOC_CHECK(g->positions = FT_NEW_ARRAY(int32_t, g->length));
    for (int64_t i = 0; i < n_prompt; i++) g->labels[i] = -1;
    for (int64_t i = 0; i < g->length; i++) g->positions[i] = (int32_t)i;
    return FT_OK;
}

static void free_memory(generation *g)
{
    ft_device_free(g->model->device, g->cache);
    ft_device_free(g->model->device, g->device_logits);
    ft_free(g->logits);
    ft_free(g->candidates);
    ft_free(g->labels);
    ft_free(g->positions);
}

static ft_status check(const ft_model *model, int64_t n_prompt, const ft_generate_options *options)
{
    const ft_sampling sampling = {options->temperature, options->top_p, options->seed};
    int64_t limit = model->plan->request.sequence_len;
    if (n_prompt < 1) return ft_error(FT_E_USAGE, "the prompt is empty: generation needs at least one token");
    if (n_prompt > limit)
        return ft_error(FT_E_INPUT, "the prompt has %lld tokens, sequence_len is %lld", (long long)n_prompt, (long long)limit);
    return ft_sampling_check(&sampling);
}

ft_status ft_generate(ft_model *model, const int32_t *prompt, int64_t n_prompt, const ft_generate_options *options, int32_t *out,
                      int64_t *n_out)
{
    *n_out = 0;
    FT_TRY(check(model, n_prompt, options));
    // The last token made is not fed back: the positions in use are n_prompt + most - 1.
    int64_t room = model->plan->request.sequence_len - n_prompt + 1, most = options->max_new_tokens < room ? options->max_new_tokens : room;
    if (most < 1) return FT_OK;
    generation g = {.model = model, .shape = &model->plan->layout.shape, .length = n_prompt + most - 1};
    g.width = g.shape->kv_heads * g.shape->head_dim;
    g.prompt = layout_of(model->plan, n_prompt);
    g.single = layout_of(model->plan, 1);
    model->evaluating = true;
    ft_status status = take_memory(&g, n_prompt);
    if (status == FT_OK) status = leave(&g, run(&g, prompt, n_prompt, most, options, out, n_out));
    free_memory(&g);
    return status;
}
