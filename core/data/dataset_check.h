// What the configuration asks of a dataset, checked before it is read: nothing given is silently ignored.
#ifndef FT_DATA_DATASET_CHECK_H
#define FT_DATA_DATASET_CHECK_H

#include "data/dataset.h"

// The files of the dataset, in order; *files is {0} or filled, the caller frees it. FT_E_USAGE: no path. FT_E_NOT_FOUND: no folder
// `name`; otherwise as ft_data_files_list.
ft_status ft_dataset_files(const ft_dataset_config *dataset, ft_string_list *files);
// The format by name (dataset->type) or, without one, by the shape of a record.
ft_status ft_dataset_format(const ft_dataset_config *dataset, const json_t *record, const ft_record_format **format);
// FT_E_UNSUPPORTED names a key of the dataset that the format does not read.
ft_status ft_dataset_check_fields(const ft_dataset_config *dataset, const ft_config *run, const ft_record_format *format);

// Keys of the run about records (chat_template, mask_history, ...), a bit each.
typedef unsigned ft_run_keys;
ft_run_keys ft_run_keys_read(const ft_record_format *format, const ft_dataset_config *dataset, const ft_config *run);
// FT_E_UNSUPPORTED names a key that is given and that is not among those the formats of all datasets read.
ft_status ft_run_keys_check(const ft_config *run, ft_run_keys read);

#endif
