// The record readers.
#ifndef FT_DATA_READERS_H
#define FT_DATA_READERS_H

#include "data/records.h"

extern const ft_record_reader ft_reader_jsonl, ft_reader_json, ft_reader_parquet;

#endif
