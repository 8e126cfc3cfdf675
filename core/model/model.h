// A model in a run: memory carved as the plan says, layers visited in the plan's order, weights through the streamer.
//
// A sweep carries plan->micro_batches micro-batches through all layers and back; a step is as many sweeps as its micro-batches
// need. Gradients of the adapter accumulate over the step in ascending micro-batch order, so neither sweeps nor placement
// change a bit.
#ifndef FT_MODEL_MODEL_H
#define FT_MODEL_MODEL_H

#include "model/layer.h"
#include "offload/streamer.h"

typedef struct ft_model ft_model;

// A micro-batch as the model takes it (host arrays, laid out like data/dataset.h's ft_batch: labels[t] is the token of slot t
// itself, -100 where it is not trained and in the first slot of every document).
typedef struct {
    const int32_t *ids, *labels, *positions;  // [tokens]
    const int32_t *doc_begin;                 // [n_docs + 1]
    int32_t n_docs;
    int64_t tokens;                           // = plan->micro_batch_tokens
    int64_t token_base;
} ft_model_batch;

typedef struct {
    const ft_plan *plan;
    ft_store *store;
    ft_device *device;
    const ft_adapter_layout *adapter;         // NULL: base model only
    bool train;                               // gradients and moments exist
    uint64_t seed;                            // dropout
    bool deterministic;                       // CUDA: an attention whose backward has one order of sums
    const char *gemm_table;                   // CUDA: file of measured GEMM algorithms, NULL = none
    const char *trace;                        // file of a timeline (offload/trace.h), NULL = none
    int64_t verify_stripes;                   // checked again in each step (offload/streamer_verify.h), 0 = none
    const ft_ops *ops;                        // NULL: the device's; a benchmark gives its own to time each
} ft_model_options;

ft_status ft_model_open(ft_model **model, const ft_model_options *options);
void ft_model_close(ft_model *model);

// Flat adapter arrays in device memory (adapter->n_floats each), NULL without an adapter / when not training.
typedef struct {
    float *parameters, *gradients, *moment1, *moment2;
    int64_t n;
} ft_adapter_state;
ft_adapter_state ft_model_adapter(ft_model *model);
ft_queue *ft_model_queue(ft_model *model);
const ft_ops *ft_model_ops(ft_model *model);
void *ft_model_workspace(ft_model *model, int64_t *bytes);
// Where the optimizer leaves the gradient's norm, on the device.
ft_clip *ft_model_clip(ft_model *model);
// Host room for n floats each of parameters, moment1 and moment2 (part 0, 1, 2; moments only when training).
float *ft_model_snapshot(ft_model *model, int part);
ft_streamer *ft_model_streamer(ft_model *model);
ft_meter *ft_model_meter(ft_model *model);    // has a span for every layer visit, and for inputs, head and optimizer
const ft_pool *ft_model_pool(const ft_model *model);  // of its host memory

// Called after every layer visit; a non-zero return abandons the step with FT_E_STOPPED.
typedef int (*ft_visit_callback)(void *context, int64_t sweep, int64_t sweeps, int64_t layer, ft_direction direction);

typedef struct {
    int64_t step;                 // RNG counter of dropout
    double loss_scale;            // gradient is that of loss_scale * sum of NLL
    ft_visit_callback on_visit;
    void *context;
} ft_step_options;

// Announces what is coming, so that prefetch may run across steps (ft_streamer_start).
ft_status ft_model_announce(ft_model *model, ft_sweep_mode mode, int64_t sweeps);
// Forward and backward over n micro-batches (any n; the last sweep may carry fewer than the plan's). Gradients are zeroed first.
// *nll_sum: sum over trainable tokens; where nll_sum is NULL the work is only queued and ft_model_result waits for it.
ft_status ft_model_step(ft_model *model, const ft_model_batch *batches, int64_t n, const ft_step_options *options, double *nll_sum);
// Waits for the step and for what was queued after it: its loss and, if clip is given, what the optimizer left in ft_model_clip.
// FT_E_CORRUPT if weights it used are not what they were: its result is wrong then, and the optimizer has used it.
ft_status ft_model_result(ft_model *model, double *nll_sum, ft_clip *clip);
// Forward only. logits (host, [tokens, vocab] float32 per batch, one batch only) may be NULL.
ft_status ft_model_evaluate(ft_model *model, const ft_model_batch *batches, int64_t n, double *nll_sum, float *logits,
                            ft_visit_callback on_visit, void *context);

#endif
