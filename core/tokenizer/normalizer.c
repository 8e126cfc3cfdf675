#include "tokenizer/normalizer.h"

#include <string.h>

#include "common/memory.h"

ft_status ft_normalizer_add(ft_normalizer *normalizer, ft_normalize_kind kind, const char *from, const char *to)
{
    if (normalizer->n == FT_NORMALIZER_STEPS)
        return ft_error(FT_E_UNSUPPORTED, "normalizer has more than %d steps", FT_NORMALIZER_STEPS);
    if (kind == FT_NORMALIZE_REPLACE && *from == 0) return ft_error(FT_E_UNSUPPORTED, "normalizer Replace of nothing");
    ft_normalize_step *step = &normalizer->steps[normalizer->n++];
    step->kind = kind;
    step->from = from ? ft_strdup(from) : NULL;
    step->to = to ? ft_strdup(to) : NULL;
    return (from && !step->from) || (to && !step->to) ? FT_E_NOMEM : FT_OK;
}

void ft_normalizer_free(ft_normalizer *normalizer)
{
    for (int i = 0; i < normalizer->n; i++) {
        ft_free(normalizer->steps[i].from);
        ft_free(normalizer->steps[i].to);
    }
    normalizer->n = 0;
}

void ft_normalize_work_free(ft_normalize_work *work)
{
    ft_rewrite_free(&work->text[0]);
    ft_rewrite_free(&work->text[1]);
    ft_nfc_work_free(&work->nfc);
}

static ft_status replace_rest(const ft_piece *in, const char *from, const char *to, ft_rewrite *rewrite)
{
    size_t n_from = strlen(from), n_to = strlen(to), done = 0;
    for (const char *found; (found = memmem(in->text + done, in->bytes - done, from, n_from)) != NULL;) {
        size_t at = (size_t)(found - in->text);
        FT_TRY(ft_rewrite_keep(rewrite, in, done, at));
        done = at + n_from;
        FT_TRY(ft_rewrite_put(rewrite, to, n_to, ft_piece_offset(in, done)));
    }
    return ft_rewrite_keep(rewrite, in, done, in->bytes);
}

static ft_status apply(const ft_normalize_step *step, ft_rewrite *rewrite, ft_nfc_work *nfc, bool mapped, ft_piece *piece)
{
    const ft_piece in = *piece;
    if (step->kind == FT_NORMALIZE_NFC) return ft_nfc(&in, mapped, rewrite, nfc, piece);
    FT_TRY(ft_rewrite_start(rewrite, mapped, in.base, in.bytes));
    if (step->kind == FT_NORMALIZE_PREPEND) {
        FT_TRY(ft_rewrite_put(rewrite, step->to, strlen(step->to), in.base));
        FT_TRY(ft_rewrite_keep(rewrite, &in, 0, in.bytes));
    } else {
        FT_TRY(replace_rest(&in, step->from, step->to, rewrite));
    }
    *piece = ft_rewrite_piece(rewrite);
    return FT_OK;
}

ft_status ft_normalize(const ft_normalizer *normalizer, ft_normalize_work *work, const ft_piece *in, bool mapped, ft_piece *out)
{
    *out = *in;
    for (int i = 0; i < normalizer->n && out->bytes > 0; i++) {
        ft_rewrite *free_one = &work->text[out->text == work->text[0].text];
        FT_TRY(apply(&normalizer->steps[i], free_one, &work->nfc, mapped, out));
    }
    return FT_OK;
}

ft_status ft_metaspace(ft_metaspace_kind kind, const ft_piece *in, bool first, bool mapped, ft_rewrite *rewrite, ft_piece *out)
{
    bool there = in->bytes > 0 && (in->text[0] == ' ' || (in->bytes >= FT_METASPACE_BYTES &&
                                                          memcmp(in->text, FT_METASPACE, FT_METASPACE_BYTES) == 0));
    bool prepend = kind == FT_METASPACE_ALWAYS || (kind == FT_METASPACE_FIRST && first);
    FT_TRY(ft_rewrite_start(rewrite, mapped, in->base, in->bytes + in->bytes / 2));
    if (prepend && !there) FT_TRY(ft_rewrite_put(rewrite, FT_METASPACE, FT_METASPACE_BYTES, in->base));
    FT_TRY(replace_rest(in, " ", FT_METASPACE, rewrite));
    *out = ft_rewrite_piece(rewrite);
    return FT_OK;
}
