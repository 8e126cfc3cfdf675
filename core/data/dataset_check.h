// What the configuration asks of a dataset, checked before it is read: nothing given is silently ignored.
#ifndef FT_DATA_DATASET_CHECK_H
#define FT_DATA_DATASET_CHECK_H

#include "data/dataset.h"

// The reader of the dataset's file. FT_E_UNSUPPORTED names a key that is not implemented (weight, split, ...) or a kind of file
// no reader takes; FT_E_NOT_FOUND if there is no such file.
ft_status ft_dataset_check(const ft_dataset_config *dataset, const ft_record_reader **reader);
// The format by name (dataset->type) or, without one, by the shape of a record. *detected tells which.
ft_status ft_dataset_format(const ft_dataset_config *dataset, const json_t *record, const ft_record_format **format,
                            bool *detected);
// FT_E_UNSUPPORTED names a field_* key the format does not read.
ft_status ft_dataset_check_fields(const ft_dataset_config *dataset, const ft_record_format *format);

#endif
