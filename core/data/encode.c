#include "data/encode.h"

#include <string.h>

#include "common/log.h"
#include "data/formats.h"
#include "data/samples.h"

static ft_status choose_speakers(ft_encoder *e)
{
    const ft_string_list *roles = e->dataset->roles_to_train.n ? &e->dataset->roles_to_train : &e->run->roles_to_train;
    e->train_speaker[FT_SPEAKER_ASSISTANT] = roles->n == 0;
    for (int i = 0; i < roles->n; i++) {
        ft_speaker speaker;
        FT_TRY(ft_chat_speaker(e->dataset, roles->items[i], &speaker));
        e->train_speaker[speaker] = true;
    }
    return FT_OK;
}

ft_status ft_encoder_init(ft_encoder *encoder, const ft_record_format *format, const ft_dataset_config *dataset,
                          const ft_config *run, const ft_tokenizer *tokenizer)
{
    const char *name = dataset->chat_template ? dataset->chat_template : run->chat_template, *reason;
    *encoder = (ft_encoder){.format = format, .dataset = dataset, .run = run, .tokenizer = tokenizer};
    if (tokenizer == NULL && format != &ft_format_tokens)
        return ft_error(FT_E_INPUT, "type %s needs a tokenizer; only ready tokens do without", format->name);
    if (format->chats == NULL || !format->chats(dataset, run)) return FT_OK;
    FT_TRY(choose_speakers(encoder));
    FT_TRY(ft_chat_template_choose(name, tokenizer, run->family_template, &encoder->chat_template, &reason));
    ft_info("%s: conversations by template %s (%s)", dataset->path, encoder->chat_template->name, reason);
    return FT_OK;
}

static ft_status check_eos(const ft_segments *segments, const ft_tokenizer *tokenizer)
{
    if (!segments->add_eos || ft_tokenizer_eos(tokenizer) >= 0) return FT_OK;
    return ft_error(FT_E_INPUT, "%s names no EOS token, which closes every sample; set special_tokens.eos_token",
                    ft_tokenizer_path(tokenizer));
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

static ft_status encode_segments(const ft_encoder *e, const ft_segments *segments, ft_encoded *encoded, int64_t *answer)
{
    FT_TRY(check_eos(segments, e->tokenizer));
    for (int i = 0; i < segments->n; i++) {
        if (i == segments->answer) *answer = encoded->ids.n;
        FT_TRY(add_segment(&segments->items[i], segments->add_bos && i == 0, e->tokenizer, encoded));
    }
    return segments->add_eos ? close_sample(e->tokenizer, encoded) : FT_OK;
}

static void remove_tokens(ft_encoded *encoded, int64_t first, int64_t n)
{
    int64_t rest = encoded->ids.n - first - n;
    memmove(encoded->ids.items + first, encoded->ids.items + first + n, (size_t)rest * sizeof(int32_t));
    memmove(encoded->labels.items + first, encoded->labels.items + first + n, (size_t)rest * sizeof(int32_t));
    encoded->ids.n -= n;
    encoded->labels.n -= n;
    encoded->cut += n;
}

// source_max_len and target_max_len. Tokens before `answer` are the source; a BOS in front stays and counts.
static void limit_lengths(const ft_encoder *e, ft_encoded *encoded, int64_t answer)
{
    int64_t source = e->run->source_max_len, target = e->run->target_max_len, length = encoded->ids.n - answer;
    if (answer == 0) return;
    if (target > 0 && length > target) remove_tokens(encoded, answer + target, length - target);
    bool bos = ft_tokenizer_adds_bos(e->tokenizer) && encoded->ids.items[0] == ft_tokenizer_bos(e->tokenizer);
    if (source > 0 && answer > source) remove_tokens(encoded, bos, answer - source);
}

static ft_status outside(const char *name, int64_t i, int32_t value, int64_t vocab)
{
    if (vocab == INT64_MAX) return ft_error(FT_E_INPUT, "%s[%lld] = %d is no token id", name, (long long)i, value);
    return ft_error(FT_E_INPUT, "%s[%lld] = %d is outside the vocabulary of %lld ids", name, (long long)i, value, (long long)vocab);
}

// Of ids that the tokenizer made.
static ft_status check_model_has(const ft_encoded *encoded, int64_t vocab)
{
    for (int64_t i = 0; i < encoded->ids.n; i++) {
        if (encoded->ids.items[i] < vocab) continue;
        return ft_error(FT_E_INPUT, "the tokenizer gives id %d, but the model's vocabulary has %lld ids: is it this model's tokenizer?",
                        encoded->ids.items[i], (long long)vocab);
    }
    return FT_OK;
}

static ft_status check_range(const ft_encoder *encoder, const ft_encoded *encoded)
{
    const ft_config *run = encoder->run;
    const ft_tokenizer *tokenizer = encoder->tokenizer;
    int64_t vocab = run->vocab > 0 ? run->vocab : INT64_MAX;
    if (encoder->format != &ft_format_tokens) return check_model_has(encoded, vocab);
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

ft_status ft_encode_record(const ft_encoder *encoder, const json_t *record, ft_encoded *encoded)
{
    ft_segments segments = {0};
    int64_t answer = 0;
    ft_status status = encoder->format->parse(record, encoder->dataset, encoder->run, &segments);
    if (status == FT_OK && encoder->chat_template != NULL) status = ft_encode_chat(encoder, &segments, encoded, &answer);
    else if (status == FT_OK) status = encode_segments(encoder, &segments, encoded, &answer);
    if (status == FT_OK) status = check_range(encoder, encoded);
    if (status == FT_OK) status = check_bos(encoded, encoder->tokenizer);
    if (status == FT_OK) limit_lengths(encoder, encoded, answer);
    ft_segments_clear(&segments);
    return status;
}

void ft_encoded_free(ft_encoded *encoded)
{
    ft_ids_free(&encoded->ids);
    ft_ids_free(&encoded->labels);
}
