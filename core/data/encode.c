#include "data/encode.h"

#include "data/samples.h"

static ft_status need_tokenizer(const ft_record_format *format, const ft_segments *segments, const ft_tokenizer *tokenizer)
{
    if (tokenizer == NULL) return ft_error(FT_E_INPUT, "type %s needs a tokenizer; only ready tokens do without", format->name);
    if (segments->add_eos && ft_tokenizer_eos(tokenizer) < 0) {
        return ft_error(FT_E_INPUT, "%s names no EOS token, which closes every sample; set special_tokens.eos_token",
                        ft_tokenizer_path(tokenizer));
    }
    return FT_OK;
}

// Labels for the ids that have none yet: the id where trained, else FT_LABEL_IGNORE.
static ft_status label_rest(ft_encoded *encoded, bool train)
{
    const int32_t ignore = FT_LABEL_IGNORE;
    while (encoded->labels.n < encoded->ids.n) {
        FT_TRY(ft_ids_add(&encoded->labels, train ? &encoded->ids.items[encoded->labels.n] : &ignore, 1));
    }
    return FT_OK;
}

static ft_status add_ready_ids(const ft_segment *segment, ft_encoded *encoded)
{
    FT_TRY(ft_ids_add(&encoded->ids, segment->ids, segment->n_ids));
    if (segment->labels != NULL) FT_TRY(ft_ids_add(&encoded->labels, segment->labels, segment->n_ids));
    return label_rest(encoded, segment->train);
}

static ft_status add_segment(const ft_segment *segment, bool bos, const ft_tokenizer *tokenizer, ft_encoded *encoded)
{
    if (segment->text == NULL) return add_ready_ids(segment, encoded);
    unsigned flags = (bos ? FT_TOKENIZE_BOS : 0) | (segment->special ? FT_TOKENIZE_SPECIAL : 0);
    FT_TRY(ft_tokenize(tokenizer, segment->text, segment->bytes, flags, &encoded->ids));
    return label_rest(encoded, segment->train);
}

// A trained EOS at the end, unless the text ends in one.
static ft_status close_sample(const ft_tokenizer *tokenizer, ft_encoded *encoded)
{
    int32_t eos = ft_tokenizer_eos(tokenizer);
    int64_t n = encoded->ids.n;
    bool there = n > 0 && encoded->ids.items[n - 1] == eos && encoded->labels.items[n - 1] == eos;
    if (!there) FT_TRY(ft_ids_add(&encoded->ids, &eos, 1));
    return label_rest(encoded, true);
}

static ft_status encode_segments(const ft_record_format *format, const ft_segments *segments, const ft_tokenizer *tokenizer,
                                 ft_encoded *encoded)
{
    bool has_text = segments->add_bos || segments->add_eos;
    for (int i = 0; i < segments->n; i++) has_text |= segments->items[i].text != NULL;
    if (has_text) FT_TRY(need_tokenizer(format, segments, tokenizer));
    for (int i = 0; i < segments->n; i++)
        FT_TRY(add_segment(&segments->items[i], segments->add_bos && i == 0, tokenizer, encoded));
    return segments->add_eos ? close_sample(tokenizer, encoded) : FT_OK;
}

static ft_status outside(const char *name, int64_t i, int32_t value, int64_t vocab)
{
    if (vocab == INT64_MAX) return ft_error(FT_E_INPUT, "%s[%lld] = %d is no token id", name, (long long)i, value);
    return ft_error(FT_E_INPUT, "%s[%lld] = %d is outside the vocabulary of %lld ids", name, (long long)i, value, (long long)vocab);
}

static ft_status check_range(const ft_encoded *encoded, const ft_config *run, const ft_tokenizer *tokenizer)
{
    int64_t vocab = run->vocab > 0 ? run->vocab : INT64_MAX;
    if (tokenizer && ft_tokenizer_vocab(tokenizer) < vocab) vocab = ft_tokenizer_vocab(tokenizer);
    for (int64_t i = 0; i < encoded->ids.n; i++) {
        int32_t id = encoded->ids.items[i], label = encoded->labels.items[i];
        if (id < 0 || id >= vocab) return outside("input_ids", i, id, vocab);
        if (label != FT_LABEL_IGNORE && (label < 0 || label >= vocab)) return outside("labels", i, label, vocab);
    }
    return FT_OK;
}

// A tokenizer whose BOS is also its EOS says nothing about where it may stand.
static ft_status check_bos(const ft_encoded *encoded, const ft_tokenizer *tokenizer)
{
    if (tokenizer == NULL || !ft_tokenizer_adds_bos(tokenizer)) return FT_OK;
    int32_t bos = ft_tokenizer_bos(tokenizer);
    if (bos == ft_tokenizer_eos(tokenizer)) return FT_OK;
    for (int64_t i = 1; i < encoded->ids.n; i++) {
        if (encoded->ids.items[i] == bos) {
            return ft_error(FT_E_INPUT,
                            "BOS (id %d) at position %lld: it belongs at the start only; make each document a sample", bos,
                            (long long)i);
        }
    }
    return FT_OK;
}

ft_status ft_encode_record(const ft_record_format *format, const json_t *record, const ft_dataset_config *config,
                           const ft_config *run, const ft_tokenizer *tokenizer, ft_encoded *encoded)
{
    ft_segments segments = {0};
    ft_status status = format->parse(record, config, run, &segments);
    if (status == FT_OK) status = encode_segments(format, &segments, tokenizer, encoded);
    if (status == FT_OK) status = check_range(encoded, run, tokenizer);
    if (status == FT_OK) status = check_bos(encoded, tokenizer);
    ft_segments_clear(&segments);
    return status;
}

void ft_encoded_free(ft_encoded *encoded)
{
    ft_ids_free(&encoded->ids);
    ft_ids_free(&encoded->labels);
}
