// A model of random weights in training: what `step` measures and `calibrate` looks at, opened the way `train` opens it.
//
// Weights are made in place. With drives (config key nvme) they are a store of random weights on them (offload/store_random.h), and
// with drives and base_model that model's own store in a directory beside; both are removed at the end, unless the first is kept.
#ifndef FT_BENCH_TRAINING_H
#define FT_BENCH_TRAINING_H

#include "bench/probes.h"
#include "io/hash.h"
#include "train/optimizer.h"
#include "train/trainer.h"

typedef struct {
    const ft_bench_options *options;
    ft_settings *settings;
    ft_session session;
    ft_model *model;
    int32_t *ids, *labels, *positions, *doc_begin;  // of one micro-batch; every step takes the same
    ft_model_batch *batches;
    int64_t n_batches;          // of a step; at most max_batches, which are made
    int64_t max_batches;
    int64_t trained, tokens;    // of a micro-batch
    int64_t steps, announced;   // so far; still to come
    int64_t alias;              // ft_session_options.alias
    char *directory;            // of config.json
    char *drives;               // own directories on the drives, comma-separated, for the store of base_model; NULL = none
    char store[FT_HASH_TEXT];   // the store of random weights, "" = none
    bool remove_store;          // made by us, not to be kept
} ft_bench_training;

// The geometry is that of the settings' base_model, else of the options; FT_E_USAGE where both name one, or where options would have no
// effect. layers > 0: that many of its layers, but of base_model on drives all. On failure, too, close.
ft_status ft_bench_training_open(ft_bench_training *training, const ft_bench_options *options, int64_t layers);
void ft_bench_training_close_model(ft_bench_training *training);  // the device stays open
void ft_bench_training_close(ft_bench_training *training);
// Announces that many steps to come: prefetch runs across them, as in a run of `train`.
ft_status ft_bench_training_announce(ft_bench_training *training, int64_t steps);
// One optimizer step, announced alone unless it is among those announced: wall clock, device in step at both ends. `loss`: nats a trained token.
ft_status ft_bench_training_step(ft_bench_training *training, double *loss);

// training_setup.c: the settings, the model's config.json and, on drives, its weights; and what of these is removed.
ft_status ft_bench_training_setup(ft_bench_training *training, int64_t layers);
void ft_bench_training_clean(ft_bench_training *training);

#endif
