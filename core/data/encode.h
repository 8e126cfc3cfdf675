// One record as tokens: segments or a conversation -> input_ids and labels, with the checks that belong to a single sample.
//
// Of a conversation the content of the trained turns is trained and, by train_on_eos, closing tokens; a token is trained if it
// holds at least one trained byte. Trained turns: what the message itself says, else all with train_on_inputs, else those of
// roles_to_train (the dataset's, the run's, or assistant); of these only the last with mask_history. Closing tokens: `turn` those of
// trained turns, `all`, `last` that of the conversation's last message, `none`. A system message that a template brings itself is
// never trained.
#ifndef FT_DATA_ENCODE_H
#define FT_DATA_ENCODE_H

#include "data/dataset.h"

// How the records of a dataset are encoded. Pointers are the caller's.
typedef struct {
    const ft_record_format *format;
    const ft_dataset_config *dataset;
    const ft_config *run;
    const ft_tokenizer *tokenizer;          // NULL: ready ids only
    const ft_chat_template *chat_template;  // NULL: the format's records are no conversations
    bool train_speaker[3];                  // by ft_speaker
} ft_encoder;

// Chooses the template of conversations and says which. Errors are those of ft_chat_template_choose; FT_E_USAGE for an unknown
// name in roles_to_train, FT_E_INPUT if only ready tokens could do without a tokenizer.
ft_status ft_encoder_init(ft_encoder *encoder, const ft_record_format *format, const ft_dataset_config *dataset,
                          const ft_config *run, const ft_tokenizer *tokenizer);

typedef struct {
    ft_ids ids, labels;  // equally long
    int64_t cut;         // tokens that source_max_len and target_max_len took away
} ft_encoded;

// Parses and tokenizes a record. FT_E_INPUT if an id is outside the vocabulary, BOS stands anywhere but in front, a closing token
// that is to be trained is not one token, or a text format meets a tokenizer without EOS. Thread-safe.
ft_status ft_encode_record(const ft_encoder *encoder, const json_t *record, ft_encoded *encoded);
void ft_encoded_free(ft_encoded *encoded);

// The conversation of `segments` (encode_chat.c). *answer: the token at which the last trained turn begins, 0 if none is.
ft_status ft_encode_chat(const ft_encoder *encoder, const ft_segments *segments, ft_encoded *encoded, int64_t *answer);

#endif
