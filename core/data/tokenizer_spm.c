// tokenizer.model as SentencePiece writes it: a protobuf message (sentencepiece_model.proto) of which these fields are read:
//
//   ModelProto      1 repeated SentencePiece   2 TrainerSpec   3 NormalizerSpec
//   SentencePiece   1 piece, text   2 score, float   3 type: 1 normal, 2 unknown, 3 control, 4 user-defined, 6 byte
//   TrainerSpec     3 model_type: 2 is BPE   35 byte_fallback   40 unk_id   41 bos_id   42 eos_id
//   NormalizerSpec  2 precompiled_charsmap   3 add_dummy_prefix
//
// The tokenizer is the one transformers' LlamaTokenizer makes of it: every split of a normal piece into two pieces is a merge,
// ordered by the score of what it makes, then longer parts first (convert_slow_tokenizer.py, generate_merges).
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "data/tokenizer_impl.h"
#include "data/utf8.h"

#define PIECE_BYTES 1024

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, BYTE = 6 };

typedef struct {
    const uint8_t *at, *end;
} message;

typedef struct {
    uint32_t number;
    uint64_t value;   // a varint, or the bits of a fixed-size field
    message content;  // a field with a length
} field;

static ft_status broken(void)
{
    return ft_error(FT_E_INPUT, "neither a tokenizer.json, tiktoken's format nor a SentencePiece model");
}

static bool read_varint(message *m, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && m->at < m->end; shift += 7) {
        uint8_t byte = *m->at++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool read_fixed(message *m, size_t bytes, uint64_t *value)
{
    if ((size_t)(m->end - m->at) < bytes) return false;
    memcpy(value, m->at, bytes);
    m->at += bytes;
    return true;
}

// The next field of a message that is not at its end.
static ft_status next_field(message *m, field *f)
{
    uint64_t key;
    *f = (field){0};
    bool good = read_varint(m, &key);
    f->number = (uint32_t)(key >> 3);
    switch (good ? key & 7 : 7) {
    case 0: good = read_varint(m, &f->value); break;
    case 1: good = read_fixed(m, 8, &f->value); break;
    case 5: good = read_fixed(m, 4, &f->value); break;
    case 2:
        good = read_varint(m, &f->value) && f->value <= (uint64_t)(m->end - m->at);
        if (good) f->content = (message){m->at, m->at + f->value};
        if (good) m->at += f->value;
        break;
    default: good = false;
    }
    return good ? FT_OK : broken();
}

typedef struct {
    const char *text;
    size_t bytes;
    float score;
    int type;
} piece;

typedef struct {
    piece *pieces;
    int32_t n, capacity;
    int model_type;
    bool byte_fallback, add_prefix, has_charsmap;
    int32_t unk, bos, eos;
} model;

static ft_status read_piece(model *m, message content)
{
    if (m->n == m->capacity) {
        int32_t capacity = m->capacity ? 2 * m->capacity : 1024;
        piece *pieces = ft_realloc(m->pieces, (size_t)capacity * sizeof *pieces);
        FT_ALLOC_CHECK(pieces);
        m->pieces = pieces;
        m->capacity = capacity;
    }
    piece *p = &m->pieces[m->n++];
    *p = (piece){.text = "", .type = NORMAL};
    for (field f; content.at < content.end;) {
        FT_TRY(next_field(&content, &f));
        if (f.number == 1 && f.content.at != NULL) {
            p->text = (const char *)f.content.at;
            p->bytes = (size_t)f.value;
        }
        if (f.number == 2) p->score = ((union { uint32_t bits; float number; }){(uint32_t)f.value}).number;
        if (f.number == 3) p->type = (int)f.value;
    }
    return p->bytes <= PIECE_BYTES ? FT_OK : ft_error(FT_E_INPUT, "piece %d has %zu bytes", m->n - 1, p->bytes);
}

static ft_status read_trainer(model *m, message content)
{
    for (field f; content.at < content.end;) {
        FT_TRY(next_field(&content, &f));
        if (f.number == 3) m->model_type = (int)f.value;
        if (f.number == 35) m->byte_fallback = f.value != 0;
        if (f.number == 40) m->unk = (int32_t)f.value;
        if (f.number == 41) m->bos = (int32_t)f.value;
        if (f.number == 42) m->eos = (int32_t)f.value;
    }
    return FT_OK;
}

static ft_status read_normalizer(model *m, message content)
{
    for (field f; content.at < content.end;) {
        FT_TRY(next_field(&content, &f));
        if (f.number == 2) m->has_charsmap = f.value > 0;
        if (f.number == 3) m->add_prefix = f.value != 0;
    }
    return FT_OK;
}

static ft_status read_model(model *m, message whole)
{
    *m = (model){.model_type = 1, .add_prefix = true, .unk = 0, .bos = 1, .eos = 2};  // the defaults of the format
    for (field f; whole.at < whole.end;) {
        FT_TRY(next_field(&whole, &f));
        if (f.content.at == NULL) continue;
        if (f.number == 1) FT_TRY(read_piece(m, f.content));
        if (f.number == 2) FT_TRY(read_trainer(m, f.content));
        if (f.number == 3) FT_TRY(read_normalizer(m, f.content));
    }
    static const char advice[] = "save a tokenizer.json with transformers' AutoTokenizer";
    if (m->n == 0) return broken();
    if (m->model_type != 2)
        return ft_error(FT_E_UNSUPPORTED, "a SentencePiece model that is %s is not implemented, only BPE; %s",
                        m->model_type == 1 ? "Unigram" : "words or characters", advice);
    if (m->has_charsmap) return ft_error(FT_E_UNSUPPORTED, "a SentencePiece model with a normalization rule is not implemented; %s", advice);
    return FT_OK;
}

static ft_status put_pieces(const model *m, ft_vocab *vocab)
{
    FT_TRY(ft_vocab_index_init(vocab, (size_t)m->n));
    for (int32_t id = 0; id < m->n; id++) {
        FT_TRY(ft_vocab_put(vocab, id, m->pieces[id].text, m->pieces[id].bytes));
        if (m->pieces[id].bytes > 0) ft_vocab_index(vocab, id);
    }
    return FT_OK;
}

typedef struct {
    float score;
    uint32_t left_chars, right_chars, left_bytes;
    int32_t id;
} split;

typedef struct {
    split *items;
    size_t n, capacity;
} splits;

static ft_status add_split(splits *all, split s)
{
    if (all->n == all->capacity) {
        size_t capacity = all->capacity ? 2 * all->capacity : 4096;
        split *items = ft_realloc(all->items, capacity * sizeof *items);
        FT_ALLOC_CHECK(items);
        all->items = items;
        all->capacity = capacity;
    }
    all->items[all->n++] = s;
    return FT_OK;
}

static bool is_normal(const model *m, const ft_vocab *vocab, const char *text, size_t bytes)
{
    int32_t id = ft_vocab_find(vocab, text, bytes);
    return id >= 0 && m->pieces[id].type == NORMAL;
}

static uint32_t count_chars(const char *text, size_t bytes)
{
    uint32_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((uint8_t)text[i] & 0xC0) != 0x80;
    return n;
}

static ft_status split_piece(const model *m, const ft_vocab *vocab, int32_t id, splits *all)
{
    const piece *p = &m->pieces[id];
    uint32_t chars = count_chars(p->text, p->bytes), left = 0;
    if (p->type != NORMAL) return FT_OK;
    for (size_t at = 1; at < p->bytes; at++) {
        if (((uint8_t)p->text[at] & 0xC0) == 0x80) continue;
        left++;
        if (!is_normal(m, vocab, p->text, at) || !is_normal(m, vocab, p->text + at, p->bytes - at)) continue;
        FT_TRY(add_split(all, (split){p->score, left, chars - left, (uint32_t)at, id}));
    }
    return FT_OK;
}

static int compare(const void *a, const void *b)
{
    const split *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->left_chars != y->left_chars) return x->left_chars > y->left_chars ? -1 : 1;
    if (x->right_chars != y->right_chars) return x->right_chars > y->right_chars ? -1 : 1;
    return x->id - y->id;
}

static ft_status add_merges(const model *m, ft_tokenizer *tokenizer)
{
    splits all = {0};
    ft_status status = FT_OK;
    for (int32_t id = 0; id < m->n && status == FT_OK; id++) status = split_piece(m, &tokenizer->vocab, id, &all);
    if (all.n > 0) qsort(all.items, all.n, sizeof *all.items, compare);
    if (status == FT_OK) status = ft_bpe_init(&tokenizer->bpe, &tokenizer->vocab, all.n);
    for (size_t i = 0; i < all.n && status == FT_OK; i++) {
        const piece *p = &m->pieces[all.items[i].id];
        size_t left = all.items[i].left_bytes;
        status = ft_bpe_add_merge(&tokenizer->bpe, (int32_t)i, p->text, left, p->text + left, p->bytes - left);
    }
    ft_free(all.items);
    return status;
}

static ft_status add_specials(const model *m, ft_tokenizer *tokenizer)
{
    for (int32_t id = 0; id < m->n; id++) {
        int type = m->pieces[id].type;
        if ((type != UNKNOWN && type != CONTROL && type != USER_DEFINED) || m->pieces[id].bytes == 0) continue;
        char *name = ft_strndup(m->pieces[id].text, m->pieces[id].bytes);
        FT_ALLOC_CHECK(name);
        ft_status status = ft_tokenizer_add_token(tokenizer, id, name, type != USER_DEFINED, (ft_added_token){0});
        ft_free(name);
        FT_TRY(status);
    }
    ft_added_tokens_sort(&tokenizer->added);
    return FT_OK;
}

static int32_t id_or_none(const model *m, int32_t id)
{
    return id >= 0 && id < m->n ? id : -1;
}

static ft_status set_decoder(ft_decoder *decoder, bool strips)
{
    decoder->from = ft_strdup(FT_METASPACE);
    decoder->to = ft_strdup(" ");
    decoder->strip = strips ? ft_strdup(" ") : NULL;
    decoder->strip_most = strips;
    decoder->byte_fallback = true;
    return decoder->from && decoder->to && (!strips || decoder->strip) ? FT_OK : FT_E_NOMEM;
}

// `legacy`: a prefix space in front of every piece between special tokens, not only of the text.
ft_status ft_tokenizer_set_spm_prefix(ft_tokenizer *tokenizer, bool legacy)
{
    bool prefix = tokenizer->decoder.strip != NULL;
    ft_normalizer_free(&tokenizer->normalizer);
    tokenizer->metaspace = legacy ? FT_METASPACE_OFF : prefix ? FT_METASPACE_FIRST : FT_METASPACE_NEVER;
    if (!legacy) return FT_OK;
    if (prefix) FT_TRY(ft_normalizer_add(&tokenizer->normalizer, FT_NORMALIZE_PREPEND, NULL, FT_METASPACE));
    return ft_normalizer_add(&tokenizer->normalizer, FT_NORMALIZE_REPLACE, " ", FT_METASPACE);
}

static ft_status build(const model *m, ft_tokenizer *tokenizer)
{
    ft_bpe *bpe = &tokenizer->bpe;
    tokenizer->is_spm = true;
    bpe->characters = bpe->fuse_unknown = true;
    bpe->falls_back = m->byte_fallback;
    bpe->unknown = id_or_none(m, m->unk);
    FT_TRY(put_pieces(m, &tokenizer->vocab));
    FT_TRY(add_merges(m, tokenizer));
    FT_TRY(add_specials(m, tokenizer));
    FT_TRY(set_decoder(&tokenizer->decoder, m->add_prefix));
    FT_TRY(ft_tokenizer_set_spm_prefix(tokenizer, true));
    tokenizer->bos = id_or_none(m, m->bos);
    tokenizer->eos = id_or_none(m, m->eos);
    tokenizer->adds_bos = tokenizer->bos >= 0;
    return ft_tokenizer_fill_shown(tokenizer);
}

ft_status ft_tokenizer_read_spm(ft_tokenizer *tokenizer, const char *bytes, size_t n)
{
    model m;
    ft_status status = read_model(&m, (message){(const uint8_t *)bytes, (const uint8_t *)bytes + n});
    if (status == FT_OK) status = build(&m, tokenizer);
    ft_free(m.pieces);
    return status;
}
