// One record as tokens: segments -> input_ids and labels, with the checks that belong to a single sample.
#ifndef FT_DATA_ENCODE_H
#define FT_DATA_ENCODE_H

#include "data/dataset.h"

typedef struct {
    ft_ids ids, labels;  // equally long
} ft_encoded;

// Parses and tokenizes a record (`tokenizer` NULL: ready ids only). FT_E_INPUT if an id is outside the vocabulary, BOS stands
// anywhere but in front, or a text format meets a tokenizer without EOS. Thread-safe.
ft_status ft_encode_record(const ft_record_format *format, const json_t *record, const ft_dataset_config *config,
                           const ft_config *run, const ft_tokenizer *tokenizer, ft_encoded *encoded);
void ft_encoded_free(ft_encoded *encoded);

#endif
