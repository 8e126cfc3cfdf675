// Loss of a model on a data set, for `eval` and `merge`.
#ifndef FT_CLI_EVALUATE_H
#define FT_CLI_EVALUATE_H

#include "common/config.h"

typedef struct {
    double loss;          // mean NLL of the trainable tokens
    int64_t tokens;       // trainable tokens
} ft_evaluation;

// Evaluates settings.base_model (with adapter_dir, or without) on every sample of its datasets. logits_path, if given, gets
// the logits of the first sample: tensors input_ids [n] I64 and logits [n, vocab] F32.
ft_status ft_evaluate(ft_settings *settings, const char *adapter_dir, const char *logits_path, ft_evaluation *result);

#endif
