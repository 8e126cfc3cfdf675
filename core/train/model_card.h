// The model card of an adapter, and of a model it was merged into: README.md in the Hugging Face hub's form, YAML front matter and
// what was trained, on what, how and with which result.
//
// Nothing of the machine stands in it but the device's name: models and data sets are called as public_name.h says. The last line is
// a comment with the hash of the text before it, by which a later save knows a card that somebody edited, and keeps it.
#ifndef FT_TRAIN_MODEL_CARD_H
#define FT_TRAIN_MODEL_CARD_H

#include "data/dataset.h"
#include "model/adapter.h"

#define FT_MODEL_CARD "README.md"

typedef struct {
    const char *name;                    // of what was made: the heading
    const ft_settings *settings;
    const ft_adapter_layout *adapter;
    const ft_dataset *data;
    const char *device;                  // "NVIDIA H100 80GB HBM3", "AMD EPYC 9V74"
    int64_t steps, tokens, trainable_tokens, skipped;
    double seconds;
    double train_loss, first_eval_loss, last_eval_loss, best_eval_loss;  // NaN = there is none
} ft_model_card;

ft_status ft_model_card_make(const ft_model_card *card, ft_text *out);
// Its last section: the keys that somebody set and that decide the result, as a config file.
ft_status ft_model_card_config(const ft_settings *settings, ft_text *out);

// The card of a merged model. `trained`: text of the adapter's card, of which the part about the training is taken over; NULL = none.
typedef struct {
    const char *name, *base;             // base: path or id
    const ft_adapter_layout *adapter;
    const char *trained;
} ft_merged_card;

ft_status ft_merged_card_make(const ft_merged_card *card, ft_text *out);

// Ends a card with its hash; whether a text ends with the hash of what stands before it.
ft_status ft_model_card_seal(ft_text *card);
bool ft_model_card_is_sealed(const char *text, size_t bytes);
// The text of DIRECTORY/README.md, heap; *text is NULL where there is none.
ft_status ft_model_card_read(const char *directory, char **text, size_t *bytes);
// The same if somebody wrote or edited it; else *text is NULL.
ft_status ft_model_card_edited(const char *directory, char **text, size_t *bytes);

#endif
