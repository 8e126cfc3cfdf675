#include "train/optimizer.h"

#include <math.h>
#include <string.h>

ft_status ft_schedule_make(ft_schedule *schedule, const ft_config *config, int64_t total_steps)
{
    *schedule = (ft_schedule){.peak = config->learning_rate, .minimum_ratio = config->cosine_min_lr_ratio, .total_steps = total_steps};
    if (strcmp(config->lr_scheduler, "constant") == 0) schedule->kind = FT_SCHEDULE_CONSTANT;
    else if (strcmp(config->lr_scheduler, "linear") == 0) schedule->kind = FT_SCHEDULE_LINEAR;
    else if (strcmp(config->lr_scheduler, "cosine") == 0) schedule->kind = FT_SCHEDULE_COSINE;
    else return ft_error(FT_E_UNSUPPORTED, "lr_scheduler %s: constant, linear and cosine are implemented", config->lr_scheduler);
    schedule->warmup_steps = config->warmup_steps >= 0 ? config->warmup_steps : (int64_t)ceil(config->warmup_ratio * (double)total_steps);
    if (schedule->warmup_steps >= total_steps && total_steps > 1)
        return ft_error(FT_E_USAGE, "warmup_steps %lld: the run has only %lld steps", (long long)schedule->warmup_steps, (long long)total_steps);
    return FT_OK;
}

double ft_schedule_rate(const ft_schedule *schedule, int64_t step)
{
    double warmup = (double)schedule->warmup_steps, total = (double)schedule->total_steps, at = (double)step;
    if (at < warmup) return schedule->peak * (at + 1) / (warmup + 1);
    if (schedule->kind == FT_SCHEDULE_CONSTANT) return schedule->peak;
    double progress = (at - warmup) / fmax(1, total - warmup);
    if (progress > 1) progress = 1;
    if (schedule->kind == FT_SCHEDULE_LINEAR) return schedule->peak * (1 - progress);
    double factor = 0.5 * (1 + cos(M_PI * progress));
    return schedule->peak * (factor * (1 - schedule->minimum_ratio) + schedule->minimum_ratio);
}

// One call over the flat arrays, or one per tensor when A and B learn at different rates (LoRA+).
static ft_status apply(ft_model *model, const ft_adapter_layout *layout, const ft_adamw *options, double b_ratio)
{
    ft_adapter_state s = ft_model_adapter(model);
    const ft_ops *ops = ft_model_ops(model);
    ft_queue *queue = ft_model_queue(model);
    const ft_clip *clip = ft_model_clip(model);
    if (b_ratio <= 0 || b_ratio == 1) return ops->adamw(queue, s.parameters, s.gradients, s.moment1, s.moment2, s.n, options, clip);
    for (int64_t t = 0; t < layout->n_tensors; t++) {
        const ft_adapter_tensor *tensor = &layout->tensor[t];
        ft_adamw own = *options;
        if (tensor->is_b) own.lr = (float)((double)options->lr * b_ratio);
        int64_t at = tensor->offset;
        FT_TRY(ops->adamw(queue, s.parameters + at, s.gradients + at, s.moment1 + at, s.moment2 + at, tensor->rows * tensor->cols, &own, clip));
    }
    return FT_OK;
}

ft_status ft_optimizer_step(ft_model *model, const ft_adapter_layout *layout, const ft_config *config, double rate, int64_t update,
                            ft_optimizer_result *result)
{
    ft_adapter_state state = ft_model_adapter(model);
    int64_t workspace_bytes;
    void *workspace = ft_model_workspace(model, &workspace_bytes);
    FT_TRY(ft_meter_begin(ft_model_meter(model), FT_TRACK_COMPUTE, ft_model_queue(model)));
    FT_TRY(ft_model_ops(model)->clip(ft_model_queue(model), ft_model_clip(model), state.gradients, state.n, config->max_grad_norm, workspace,
                                     workspace_bytes));
    ft_adamw options = {.lr = (float)rate, .beta1 = (float)config->adam_beta1, .beta2 = (float)config->adam_beta2,
                        .eps = (float)config->adam_epsilon, .weight_decay = (float)config->weight_decay,
                        .bias1 = (float)(1 - pow(config->adam_beta1, (double)update)), .bias2 = (float)(1 - pow(config->adam_beta2, (double)update))};
    FT_TRY(apply(model, layout, &options, config->loraplus_lr_ratio));
    ft_span_label label = {.kind = FT_SPAN_OPTIMIZER, .layer = -1, .part = -1};
    FT_TRY(ft_meter_end(ft_model_meter(model), FT_TRACK_COMPUTE, ft_model_queue(model), label));
    ft_clip clip;
    FT_TRY(ft_model_result(model, &result->nll_sum, &clip));
    result->grad_norm = sqrt(clip.sum_squares);
    result->skipped = clip.finite == 0;
    return FT_OK;
}
