// The optimizer step and the learning-rate schedule.
#ifndef FT_TRAIN_OPTIMIZER_H
#define FT_TRAIN_OPTIMIZER_H

#include "common/config.h"
#include "model/model.h"

typedef enum { FT_SCHEDULE_CONSTANT, FT_SCHEDULE_LINEAR, FT_SCHEDULE_COSINE } ft_schedule_kind;
typedef struct {
    ft_schedule_kind kind;
    double peak, minimum_ratio;   // cosine decays to peak * minimum_ratio, linear to 0
    int64_t warmup_steps, total_steps;
} ft_schedule;

ft_status ft_schedule_make(ft_schedule *schedule, const ft_config *config, int64_t total_steps);
// Learning rate of optimizer step `step` (0-based). Warm-up is linear and never 0: peak * (step + 1) / (warmup + 1), i.e. HF's
// get_*_schedule_with_warmup shifted by one step, whose first step would train with rate 0. After it, HF's formulas.
double ft_schedule_rate(const ft_schedule *schedule, int64_t step);

typedef struct {
    double nll_sum;       // of the step, over its trainable tokens
    double grad_norm;     // before clipping
    bool skipped;         // non-finite gradient: nothing was changed
} ft_optimizer_result;

// After ft_model_step, whose work it waits for together with its own: the one time in a step that the host waits.
// Clips to config->max_grad_norm (0 = off) and applies AdamW to every adapter tensor; B tensors at rate * loraplus ratio when
// set. `update` counts applied updates from 1 (bias correction).
ft_status ft_optimizer_step(ft_model *model, const ft_adapter_layout *layout, const ft_config *config, double rate, int64_t update,
                            ft_optimizer_result *result);

#endif
