// The output directory of a run: OUTPUT/ with config.resolved.yaml, plan.json, metrics.jsonl, checkpoint-N/, adapter/.
#ifndef FT_TRAIN_RUN_DIRECTORY_H
#define FT_TRAIN_RUN_DIRECTORY_H

#include "common/config.h"
#include "offload/plan.h"

// output_dir of the config, or the first free ft-out/<model>-<n>. Heap.
ft_status ft_run_directory_name(const ft_config *config, char **path);
// Creates it. A directory that holds a run is FT_E_EXISTS unless resuming or overwriting. Takes the run's lock (a second run on
// the same directory is FT_E_BUSY).
ft_status ft_run_directory_open(const char *path, bool resume, bool overwrite, int *lock);
// Removes an earlier run's own files, nothing else. Called when everything of the new one has been opened, so that a mistake in
// its settings costs nothing.
ft_status ft_run_directory_clear(const char *path);
ft_status ft_run_directory_describe(const char *path, const ft_settings *settings, const ft_plan *plan);

#endif
