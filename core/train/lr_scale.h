// The learning rate from one that is known to be good at another batch.
//
//   learning_rate = lr_reference x (T / R)^p     p = 1/2: lr_scale sqrt,  1: linear
//   R = lr_reference_tokens                      T = micro_batch_size x sequence_len x gradient_accumulation_steps x GPUs
//
// T counts slots: what a step has room for, padding and masked tokens included, so that it is known before data is read and is the
// same in every step. It is also what global_batch_tokens asks for. The root keeps the noise of the update as it was (Malladi et
// al. 2022, for Adam); Lambda's Llama 3.1 405B recipe takes 8e-5 at 16M tokens (the Llama 3 paper) to 262K tokens that way.
#ifndef FT_TRAIN_LR_SCALE_H
#define FT_TRAIN_LR_SCALE_H

#include "common/config.h"

// FT_E_USAGE where keys contradict each other: a rule beside a learning_rate, a rule without its reference, a reference without a
// rule. Needs neither model nor data.
ft_status ft_lr_scale_check(const ft_settings *settings);
// Checks, then derives learning_rate for a step over `gpus` devices. Once sequence_len is final. Without a rule nothing happens;
// a learning_rate that an earlier call derived is derived again.
ft_status ft_lr_scale_derive(ft_settings *settings, int gpus);

#endif
