// A model of random weights in training: what `step` measures and `calibrate` looks at, opened the way `train` opens it.
//
// Weights are made in place. With drives (config key nvme) they are a checkpoint, and its store is on those drives; both are
// removed at the end.
#ifndef FT_BENCH_TRAINING_H
#define FT_BENCH_TRAINING_H

#include "bench/probes.h"
#include "train/optimizer.h"
#include "train/trainer.h"

typedef struct {
    const ft_bench_options *options;
    ft_settings *settings;
    ft_session session;
    ft_model *model;
    int32_t *ids, *labels, *positions, *doc_begin;  // of one micro-batch; every step takes the same
    ft_model_batch *batches;
    int64_t n_batches, trained, tokens;             // of a step
    int64_t steps;                                  // so far
    char *directory;                                // of config.json, and of the checkpoint where there is one
    char *drives;                                   // of the store, comma-separated; NULL = weights in place
} ft_bench_training;

// The geometry is that of the settings' base_model, else of the options; FT_E_USAGE where both name one. layers > 0: that many of its
// layers, but of base_model on drives all. On failure, too, close.
ft_status ft_bench_training_open(ft_bench_training *training, const ft_bench_options *options, int64_t layers);
void ft_bench_training_close_model(ft_bench_training *training);  // the device stays open
void ft_bench_training_close(ft_bench_training *training);
// One optimizer step: wall clock, device in step at both ends. `loss`: nats a trained token.
ft_status ft_bench_training_step(ft_bench_training *training, double *loss);

#endif
