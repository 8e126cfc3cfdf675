// The output directory of a run: OUTPUT/ with config.resolved.yaml, plan.json, metrics.jsonl, an event file for TensorBoard,
// checkpoint-N/, adapter/ and, on CUDA, gemm.txt, the measured GEMM algorithms it uses.
#ifndef FT_TRAIN_RUN_DIRECTORY_H
#define FT_TRAIN_RUN_DIRECTORY_H

#include "common/config.h"
#include "offload/plan.h"

// A run's hold on its directory, and what opening had to make for it. Before: {.fd = -1}.
typedef struct {
    int fd;            // of the lock file, -1 = not held
    bool made_file;    // the lock file was not there
    int made_levels;   // how many directories at the end of the path were not
} ft_run_lock;

// output_dir of the config, or the first free ft-out/<model>-<n>. Heap.
ft_status ft_run_directory_name(const ft_config *config, char **path);
// Creates it. A directory that holds a run is FT_E_EXISTS unless resuming or overwriting. Takes the run's lock (a second run on
// the same directory is FT_E_BUSY). What a refused call made is removed.
ft_status ft_run_directory_open(const char *path, bool resume, bool overwrite, ft_run_lock *lock);
// Lets go of it. Without `keep`, what opening made is removed as far as it is empty: of a run that was refused nothing stays.
void ft_run_directory_close(const char *path, ft_run_lock *lock, bool keep);
// Removes an earlier run's own files, nothing else. Called when everything of the new one has been opened, so that a mistake in
// its settings costs nothing.
ft_status ft_run_directory_clear(const char *path);
ft_status ft_run_directory_describe(const char *path, const ft_settings *settings, const ft_plan *plan);
// Copies the table of GEMM algorithms the run uses ("" = none, where an overwritten run's is removed).
ft_status ft_run_directory_keep_table(const char *path, const char *table, bool overwrite);
// Where the run of a checkpoint keeps its table, if it has one. Heap.
char *ft_run_directory_table_of(const char *checkpoint);

#endif
