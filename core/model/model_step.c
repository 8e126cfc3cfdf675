// Steps and evaluations as sweeps over the layers. What happens to a micro-batch is here; what happens inside a layer is in
// layer.c; how the weights come is the streamer's business.
#include "model/model_internal.h"
#include "offload/streamer_verify.h"

typedef struct {
    ft_model *model;
    const ft_step_options *options;  // NULL: evaluation
    ft_visit_callback on_visit;
    void *context;
    int64_t sweep, sweeps;
    int64_t batches;                 // in this sweep
    // The backward pass's spilled inputs: loads issued and inputs used so far, and where the next to load is looked for.
    int64_t loads, uses, next_layer, next_batch;
    float *logits;
} sweep_state;

static int64_t layers_of(const ft_model *model)
{
    return model->plan->layout.shape.layers;
}

static char *stream_at(const ft_model *model, int64_t parity, int64_t m)
{
    return model->stream[parity & 1] + m * model->plan->activation.boundary_bytes;
}

static bool spills(const ft_model *model, int64_t layer)
{
    return layer < layers_of(model) && model->train && !model->evaluating && model->boundary_index[layer] < 0;
}

// Where the forward pass puts the input of `layer` (layers: the output of the last one). An input that stays has its own
// place; one that is spilled, and the final output, use the stream of the layer's parity, so that the copy out of one half
// overlaps the layer that writes the other.
static ft_view input_view(const ft_model *model, int64_t layer, int64_t m)
{
    int64_t tokens = model->slot[m].batch->tokens;
    bool own = model->train && !model->evaluating && layer < layers_of(model) && model->boundary_index[layer] >= 0;
    if (!own) return ft_model_view(model, stream_at(model, model->evaluating ? 0 : layer, m), tokens);
    int64_t index = model->boundary_index[layer] * model->plan->micro_batches + m;
    return ft_model_view(model, model->boundaries + index * model->plan->activation.boundary_bytes, tokens);
}

static int64_t unit_of(const ft_model *model, int64_t layer, int64_t m)
{
    return model->unit[layer * model->plan->micro_batches + m];
}

// Before layer `layer`'s input is written: its half of the stream may still be being copied out (input of layer - 2).
static ft_status before_input(const ft_model *model, int64_t layer, int64_t m)
{
    if (layer < 2 || !spills(model, layer - 2)) return FT_OK;
    return ft_streamer_unit_stored(model->streamer, unit_of(model, layer - 2, m), model->queue);
}

static ft_status after_input(const ft_model *model, int64_t layer, int64_t m)
{
    if (!spills(model, layer)) return FT_OK;
    return ft_streamer_unit_store(model->streamer, unit_of(model, layer, m), input_view(model, layer, m).data, model->queue);
}

static char *saved_block(const ft_model *model, int64_t layer, int64_t m)
{
    if (model->evaluating || model->kept_index[layer] < 0) return model->recompute;
    return model->kept + (model->kept_index[layer] * model->plan->micro_batches + m) * model->plan->activation.saved_bytes;
}

static ft_status report(sweep_state *s, int64_t layer, ft_direction direction)
{
    if (s->on_visit && s->on_visit(s->context, s->sweep, s->sweeps, layer, direction))
        return ft_error(FT_E_STOPPED, "stopped by a signal");
    return FT_OK;
}

// Spans of the compute queue, for the meter.
static ft_status span_begin(const ft_model *model)
{
    return ft_meter_begin(ft_streamer_meter(model->streamer), FT_TRACK_COMPUTE, model->queue);
}

static ft_status span_end(const ft_model *model, ft_span_kind kind, int64_t layer)
{
    ft_span_label label = {.kind = kind, .layer = (int32_t)layer, .part = -1};
    return ft_meter_end(ft_streamer_meter(model->streamer), FT_TRACK_COMPUTE, model->queue, label);
}

static ft_status forward_visit(sweep_state *s, int64_t layer)
{
    ft_model *model = s->model;
    model_visit visit;
    FT_TRY(span_begin(model));
    FT_TRY(ft_model_visit_begin(model, layer, FT_FORWARD, s->options, &visit));
    for (int64_t m = 0; m < s->batches; m++) {
        FT_TRY(before_input(model, layer + 1, m));
        FT_TRY(ft_layer_forward(&visit.layer, &model->slot[m].layer, saved_block(model, layer, m), input_view(model, layer + 1, m),
                                input_view(model, layer, m)));
        FT_TRY(after_input(model, layer + 1, m));
    }
    FT_TRY(ft_model_visit_end(model, &visit));
    FT_TRY(span_end(model, FT_SPAN_FORWARD, layer));
    return report(s, layer, FT_FORWARD);
}

// A tensor of the layers' scratch, which nothing uses between two visits. No product with layer weights reads it here: no twin.
static ft_view scratch_view(const ft_model *model, ft_act act, int64_t rows)
{
    ft_view view = ft_activation_view(&model->plan->activation, act, model->scratch);
    view.rows = rows;
    view.codes = NULL;
    view.scales = NULL;
    return view;
}

// Final norm, logits, loss; when training, the stream then holds d loss / d (output of the last layer).
static ft_status head(sweep_state *s, int64_t m)
{
    ft_model *model = s->model;
    const ft_plan *plan = model->plan;
    const batch_slot *slot = &model->slot[m];
    ft_view x = input_view(model, layers_of(model), m), none = {0};
    ft_view normed = scratch_view(model, FT_ACT_NORMED, x.rows), d_normed = scratch_view(model, FT_ACT_D_NORMED, x.rows);
    bool train = !model->evaluating;
    ft_head_options options = {.loss_scale = train ? (float)s->options->loss_scale : 0, .chunk = plan->request.head_chunk,
                               .want_gradient = train, .logits = s->logits};
    FT_TRY(model->ops->rmsnorm_forward(model->queue, normed, none, model->final_rstd, x, none, model->final_norm, (float)plan->layout.shape.norm_eps));
    FT_TRY(model->ops->head_loss(model->queue, &model->scalars->nll, train ? d_normed : none, normed, &model->head, slot->labels, &options,
                                 model->workspace, plan->activation.head_workspace_bytes));
    if (!train) return FT_OK;
    return model->ops->rmsnorm_backward(model->queue, x, none, d_normed, x, model->final_rstd, model->final_norm);
}

// Spilled inputs come back in the order the backward pass uses them, through staging buffers that take turns. A buffer is filled
// again once the work on its last input is queued: the load waits for that work on the device.
static ft_status load_ahead(sweep_state *s)
{
    ft_model *model = s->model;
    while (s->next_layer >= 0 && s->loads - s->uses < FT_PLAN_STAGING) {
        int64_t layer = s->next_layer, m = s->next_batch++;
        if (s->next_batch == s->batches) {
            s->next_batch = 0;
            s->next_layer--;
        }
        if (!spills(model, layer)) continue;
        FT_TRY(ft_streamer_unit_load(model->streamer, unit_of(model, layer, m), model->staging[s->loads++ % FT_PLAN_STAGING], model->queue));
    }
    return FT_OK;
}

static void begin_backward(sweep_state *s)
{
    s->loads = s->uses = s->next_batch = 0;
    s->next_layer = layers_of(s->model) - 1;
}

static ft_status backward_input(sweep_state *s, int64_t layer, int64_t m, ft_view *x)
{
    ft_model *model = s->model;
    *x = input_view(model, layer, m);
    FT_TRY(load_ahead(s));
    if (!spills(model, layer)) return FT_OK;
    x->data = model->staging[s->uses % FT_PLAN_STAGING];
    return ft_streamer_unit_loaded(model->streamer, unit_of(model, layer, m), model->queue);
}

static ft_status backward_visit(sweep_state *s, int64_t layer)
{
    ft_model *model = s->model;
    model_visit visit;
    FT_TRY(span_begin(model));
    FT_TRY(ft_model_visit_begin(model, layer, FT_BACKWARD, s->options, &visit));
    for (int64_t m = 0; m < s->batches; m++) {
        ft_view x, dy = input_view(model, layers_of(model), m), none = {0};
        char *saved = saved_block(model, layer, m);
        FT_TRY(backward_input(s, layer, m, &x));
        if (model->kept_index[layer] < 0) FT_TRY(ft_layer_forward(&visit.layer, &model->slot[m].layer, saved, none, x));
        FT_TRY(ft_layer_backward(&visit.layer, &model->slot[m].layer, saved, dy, x, layer > 0));
        s->uses += spills(model, layer);
    }
    FT_TRY(ft_model_visit_end(model, &visit));
    FT_TRY(span_end(model, FT_SPAN_BACKWARD, layer));
    return report(s, layer, FT_BACKWARD);
}

static ft_status load_batches(sweep_state *s, const ft_model_batch *batches)
{
    ft_model *model = s->model;
    FT_TRY(span_begin(model));
    for (int64_t m = 0; m < s->batches; m++) {
        FT_TRY(ft_model_upload(model, m, &batches[m]));
        FT_TRY(ft_model_embed(model, m, input_view(model, 0, m), batches[m].ids, batches[m].tokens));
        FT_TRY(after_input(model, 0, m));
    }
    return span_end(model, FT_SPAN_INPUTS, -1);
}

// Staging buffers are written by the host again: the copies of the sweep before must be done. That is all the host waits for.
static ft_status run_sweep(sweep_state *s, const ft_model_batch *batches)
{
    ft_model *model = s->model;
    FT_TRY(ft_event_sync(model->uploaded));
    FT_TRY(load_batches(s, batches));
    FT_TRY(ft_event_record(model->uploaded, model->queue));
    for (int64_t layer = 0; layer < layers_of(model); layer++) FT_TRY(forward_visit(s, layer));
    begin_backward(s);
    if (!model->evaluating) FT_TRY(load_ahead(s));
    FT_TRY(span_begin(model));
    for (int64_t m = 0; m < s->batches; m++) FT_TRY(head(s, m));
    FT_TRY(span_end(model, FT_SPAN_HEAD, -1));
    if (model->evaluating) return FT_OK;
    for (int64_t layer = layers_of(model) - 1; layer >= 0; layer--) FT_TRY(backward_visit(s, layer));
    return FT_OK;
}

static ft_status run_sweeps(sweep_state *s, const ft_model_batch *batches, int64_t n)
{
    ft_model *model = s->model;
    int64_t most = model->plan->micro_batches;
    s->sweeps = (n + most - 1) / most;
    ft_streamer_verify_begin(model->streamer, s->sweeps);
    FT_TRY(ft_fill(model->queue, model->scalars, 0, sizeof *model->scalars));
    for (s->sweep = 0; s->sweep < s->sweeps; s->sweep++) {
        int64_t first = s->sweep * most;
        s->batches = n - first < most ? n - first : most;
        FT_TRY(run_sweep(s, batches + first));
    }
    return FT_OK;
}

ft_status ft_model_announce(ft_model *model, ft_sweep_mode mode, int64_t sweeps)
{
    model->form_layer = -1;
    return ft_streamer_start(model->streamer, mode, sweeps);
}

// Leaves the streamer ready for another announcement when a step ends early.
static ft_status finish(ft_model *model, ft_status status)
{
    if (status == FT_OK) return FT_OK;
    char message[FT_ERROR_MESSAGE_BYTES];
    __builtin_strncpy(message, ft_error_message(), sizeof message - 1);
    message[sizeof message - 1] = 0;
    ft_queue_sync(model->queue);
    ft_streamer_cancel(model->streamer);
    model->form_layer = -1;
    return ft_error_adopt(status, message);
}

ft_status ft_model_step(ft_model *model, const ft_model_batch *batches, int64_t n, const ft_step_options *options, double *nll_sum)
{
    FT_ASSERT(model->train && n > 0);
    model->evaluating = false;
    sweep_state s = {.model = model, .options = options, .on_visit = options->on_visit, .context = options->context};
    ft_status status = ft_fill(model->queue, model->state.gradients, 0, model->state.n * (int64_t)sizeof(float));
    if (status == FT_OK) status = run_sweeps(&s, batches, n);
    if (status == FT_OK && nll_sum) status = ft_model_result(model, nll_sum, NULL);
    return finish(model, status);
}

ft_status ft_model_result(ft_model *model, double *nll_sum, ft_clip *clip)
{
    FT_TRY(ft_streamer_verify_collect(model->streamer, model->queue));
    FT_TRY(ft_copy_d2h(model->queue, model->host_scalars, model->scalars, sizeof *model->scalars));
    FT_TRY(ft_queue_sync(model->queue));
    FT_TRY(ft_streamer_verify_end(model->streamer));
    *nll_sum = model->host_scalars->nll;
    if (clip) *clip = model->host_scalars->clip;
    return FT_OK;
}

ft_clip *ft_model_clip(ft_model *model) { return &model->scalars->clip; }

ft_status ft_model_evaluate(ft_model *model, const ft_model_batch *batches, int64_t n, double *nll_sum, float *logits,
                            ft_visit_callback on_visit, void *context)
{
    FT_ASSERT(n > 0 && (logits == NULL || n == 1));
    if (logits && ft_device_get_info(model->device)->kind != FT_DEVICE_CPU)
        return ft_error(FT_E_UNSUPPORTED, "logits are written on the CPU device only; add --device cpu");
    model->evaluating = true;
    sweep_state s = {.model = model, .on_visit = on_visit, .context = context, .logits = logits};
    ft_status status = run_sweeps(&s, batches, n);
    if (status == FT_OK) status = ft_model_result(model, nll_sum, NULL);
    return finish(model, status);
}
