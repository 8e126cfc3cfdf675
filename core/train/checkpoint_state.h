// state.json: the run state beside the arrays.
#ifndef FT_TRAIN_CHECKPOINT_STATE_H
#define FT_TRAIN_CHECKPOINT_STATE_H

#include "train/checkpoint.h"
#include "train/checkpoint_manifest.h"

#define FT_STATE_NAME "state.json"

// Writes DIRECTORY/state.json and lists it.
ft_status ft_run_state_put(const ft_run_state *state, const char *directory, ft_checkpoint_manifest *manifest);
// Reads it, checked against the manifest. Every field must be there; numbers come back bit for bit.
ft_status ft_run_state_get(ft_run_state *state, const char *directory, const ft_checkpoint_manifest *manifest);

#endif
