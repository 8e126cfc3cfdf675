// Where a verb may write a model directory (merge, import), settled before anything is written.
#ifndef FT_IO_MODEL_OUTPUT_H
#define FT_IO_MODEL_OUTPUT_H

#include "common/status.h"

// Something that is read while the output is written.
typedef struct {
    const char *path;
    const char *what;       // "model", for messages
} ft_output_source;

typedef struct {
    char *parent, *name;    // of the output, heap: what ft_commit_begin takes
    bool replace;           // something is there that may go: what ft_commit_finish takes
} ft_model_output;

// An empty directory may always be taken, a model directory (config.json) with `overwrite`, anything else never: FT_E_EXISTS. FT_E_USAGE
// if `path` names no directory that could be made, or is or contains a source. Free the result also after a failure.
ft_status ft_model_output_check(ft_model_output *output, const char *path, const ft_output_source *sources, int n_sources, bool overwrite);
// FT_E_IO with the missing bytes if the parent's file system has less than `bytes` free. `what`: "the merged model".
ft_status ft_model_output_space(const ft_model_output *output, int64_t bytes, const char *what);
void ft_model_output_free(ft_model_output *output);

#endif
