// metrics.jsonl: one JSON object a line, written per step; truncated to the checkpoint's length at a resume, so a step never stands
// there twice. docs/runs.md has its keys with their units. metrics_events.h shows the same lines in TensorBoard.
#ifndef FT_TRAIN_METRICS_H
#define FT_TRAIN_METRICS_H

#include "common/status.h"

typedef struct {
    int64_t step;
    double epoch, loss, lr, grad_norm;
    int64_t tokens, trainable_tokens;
    double step_s, tokens_per_s;
    double compute_busy, h2d_busy, d2h_busy, nvme_busy;               // shares of the step
    double stall_s, stall_h2d_s, stall_nvme_s, stall_spill_s;         // the first is the sum of the others
    const char *stall_drive;                                          // directory of the drive that cost most, NULL = none did
    int64_t hbm_bytes, pinned_bytes, nvme_bytes, h2d_bytes, d2h_bytes;
} ft_step_metrics;

typedef struct ft_metrics ft_metrics;
// Opens OUTPUT/metrics.jsonl, truncated to `keep_bytes` (0 = new; it must then not exist or be empty).
ft_status ft_metrics_open(ft_metrics **metrics, const char *output, int64_t keep_bytes);
// From here on every line is also an event for TensorBoard, in a file that begins with `config` and with the lines that are there.
ft_status ft_metrics_add_events(ft_metrics *metrics, const char *config);
ft_status ft_metrics_step(ft_metrics *metrics, const ft_step_metrics *step);
ft_status ft_metrics_eval(ft_metrics *metrics, int64_t step, double epoch, double eval_loss, int64_t tokens, double seconds);
ft_status ft_metrics_note(ft_metrics *metrics, int64_t step, const char *text);
int64_t ft_metrics_bytes(const ft_metrics *metrics);
ft_status ft_metrics_close(ft_metrics *metrics);  // NULL accepted

#endif
