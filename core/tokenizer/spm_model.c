#include "tokenizer/spm_model.h"

#include <string.h>

#include "common/memory.h"

#define PIECE_BYTES 1024

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

static ft_status read_piece(ft_spm_model *m, message content)
{
    if (m->n == m->capacity) {
        int32_t capacity = m->capacity ? 2 * m->capacity : 1024;
        ft_spm_piece *pieces = ft_realloc(m->pieces, (size_t)capacity * sizeof *pieces);
        FT_ALLOC_CHECK(pieces);
        m->pieces = pieces;
        m->capacity = capacity;
    }
    ft_spm_piece *p = &m->pieces[m->n++];
    *p = (ft_spm_piece){.text = "", .type = FT_SPM_NORMAL};
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

static ft_status read_trainer(ft_spm_model *m, message content)
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

static ft_status read_normalizer(ft_spm_model *m, message content)
{
    for (field f; content.at < content.end;) {
        FT_TRY(next_field(&content, &f));
        if (f.number == 2) m->has_charsmap = f.value > 0;
        if (f.number == 3) m->add_prefix = f.value != 0;
    }
    return FT_OK;
}

static ft_status check_model(const ft_spm_model *m)
{
    static const char advice[] = "save a tokenizer.json with transformers' AutoTokenizer";
    if (m->n == 0) return broken();
    if (m->model_type != 2)
        return ft_error(FT_E_UNSUPPORTED, "a SentencePiece model that is %s is not implemented, only BPE; %s",
                        m->model_type == 1 ? "Unigram" : "words or characters", advice);
    if (!m->has_charsmap) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "a SentencePiece model with a normalization rule is not implemented; %s", advice);
}

ft_status ft_spm_model_read(ft_spm_model *m, const char *bytes, size_t n)
{
    message whole = {(const uint8_t *)bytes, (const uint8_t *)bytes + n};
    *m = (ft_spm_model){.model_type = 1, .add_prefix = true, .unk = 0, .bos = 1, .eos = 2};
    for (field f; whole.at < whole.end;) {
        FT_TRY(next_field(&whole, &f));
        if (f.content.at == NULL) continue;
        if (f.number == 1) FT_TRY(read_piece(m, f.content));
        if (f.number == 2) FT_TRY(read_trainer(m, f.content));
        if (f.number == 3) FT_TRY(read_normalizer(m, f.content));
    }
    return check_model(m);
}

void ft_spm_model_free(ft_spm_model *m)
{
    ft_free(m->pieces);
    m->pieces = NULL;
}
