// One dataset from its file into samples.
#ifndef FT_DATA_DATASET_READ_H
#define FT_DATA_DATASET_READ_H

#include "data/dataset_check.h"

// Appends the kept samples of a dataset and fills its counts. *name: heap, path and type for the report, NULL on failure. Adds the
// keys of the run that its format reads to *read.
ft_status ft_dataset_read(const ft_dataset_config *dataset, const ft_config *run, const ft_tokenizer *tokenizer, int32_t source,
                          ft_samples *samples, ft_data_counts *counts, char **name, ft_run_keys *read);

#endif
