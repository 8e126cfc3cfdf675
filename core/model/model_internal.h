// A model's memory and the helpers its files share. See model.h.
#ifndef FT_MODEL_MODEL_INTERNAL_H
#define FT_MODEL_MODEL_INTERNAL_H

#include "common/memory.h"
#include "model/model.h"

// Device arrays of one micro-batch of the running sweep.
typedef struct {
    int32_t *labels, *positions, *doc_begin;           // device
    int32_t *ids;                                      // device; NULL where the embedding lives on NVMe
    int32_t *host_labels, *host_positions, *host_doc, *host_ids;  // staging, alive until the copies are done
    const ft_model_batch *batch;
    ft_layer_batch layer;
} batch_slot;

// What a step leaves for the host: on the device, and its mirror in staging memory.
typedef struct {
    double nll;
    ft_clip clip;
} model_scalars;

struct ft_model {
    const ft_plan *plan;
    ft_store *store;
    ft_device *device;
    const ft_adapter_layout *adapter;
    const ft_ops *ops;
    bool train, deterministic;
    const char *gemm_table, *trace;
    uint64_t seed;

    ft_queue *queue;
    ft_event *staged[2];          // embedding staging buffer i was copied
    ft_event *uploaded;           // the micro-batches of the last sweep were copied
    void *hbm;
    ft_arena arena;
    ft_pool *pool;
    ft_streamer *streamer;

    ft_adapter_state state;
    char *boundaries, *stream[2], *staging[FT_PLAN_STAGING], *kept, *recompute, *scratch, *form;
    void *workspace;
    int64_t workspace_bytes;
    int64_t *boundary_index;      // [layers] position among the layers whose input stays on the device, -1 = spilled
    int64_t *kept_index;          // [layers] position among kept layers, -1
    int64_t *unit;                // [layers * micro_batches] streamer unit of a spilled input
    batch_slot *slot;             // [micro_batches]
    void *embed_device;           // rows in the embedding's dtype, where it lives on NVMe
    void *embed_host[2];
    int64_t embeds;               // embedding uploads so far

    ft_matrix head;
    float *final_norm, *final_rstd;
    ft_rope rope;
    model_scalars *scalars, *host_scalars;
    float *snapshot[3];           // host, in the plan's staging line

    int64_t form_layer;           // layer whose compute form stands in the shared block of `form`, -1 = none
    int64_t forms_made;           // layers 0 .. this - 1 have their resident form
    bool evaluating;
};

typedef struct {
    ft_layer_visit layer;
    ft_lease lease;
} model_visit;

// Acquires the layer, makes its compute form, gives the codes back as soon as nothing reads them.
ft_status ft_model_visit_begin(ft_model *model, int64_t layer, ft_direction direction, const ft_step_options *options, model_visit *visit);
ft_status ft_model_visit_end(ft_model *model, model_visit *visit);
// Copies ids' rows to the device and writes layer 0's input.
ft_status ft_model_embed(ft_model *model, int64_t slot, ft_view x, const int32_t *ids, int64_t n);
ft_status ft_model_upload(ft_model *model, int64_t slot, const ft_model_batch *batch);
ft_view ft_model_view(const ft_model *model, void *data, int64_t rows);

#endif
