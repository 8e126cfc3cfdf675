// Only few characters can change under NFC or make their predecessor change (FT_NFC_CHECK). A stretch of them, with the one
// character before it, is decomposed, put in canonical order and composed; all else is copied.
#include "tokenizer/nfc.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tokenizer/unicode.h"
#include "common/utf8.h"

void ft_nfc_work_free(ft_nfc_work *work)
{
    ft_free(work->items);
    *work = (ft_nfc_work){0};
}

static uint32_t code_point_of(uint64_t item)
{
    return (uint32_t)(item & 0xFFFFFF);
}

static uint8_t class_of(uint64_t item)
{
    return (uint8_t)(item >> 56);
}

static ft_status add(ft_nfc_work *work, uint32_t code_point)
{
    if (work->n == work->capacity) {
        size_t capacity = work->capacity ? 2 * work->capacity : 64;
        uint64_t *items = ft_realloc(work->items, capacity * sizeof *items);
        FT_ALLOC_CHECK(items);
        work->items = items;
        work->capacity = capacity;
    }
    uint64_t position = work->n & 0xFFFFFFFF;
    work->items[work->n++] = (uint64_t)ft_unicode_combining(code_point) << 56 | position << 24 | code_point;
    return FT_OK;
}

static ft_status decompose(ft_nfc_work *work, const char *text, size_t bytes)
{
    size_t n;
    work->n = 0;
    for (size_t i = 0; i < bytes; i += n) {
        uint32_t parts[FT_DECOMPOSITION_MAX], code_point = ft_utf8_decode(text + i, &n);
        int count = ft_unicode_decompose(code_point, parts);
        for (int k = 0; k < count; k++) FT_TRY(add(work, parts[k]));
    }
    return FT_OK;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// Runs between starters are sorted by class; the position keeps equals in order.
static void put_in_order(ft_nfc_work *work)
{
    for (size_t from = 0; from < work->n; from++) {
        size_t to = from;
        while (to < work->n && class_of(work->items[to]) != 0) to++;
        if (to - from > 1) qsort(work->items + from, to - from, sizeof *work->items, compare);
        from = to;
    }
}

static void compose(ft_nfc_work *work)
{
    size_t n = 0, starter = SIZE_MAX;
    int blocked = -1;  // class of what stands between the starter and here, -1: nothing
    for (size_t i = 0; i < work->n; i++) {
        uint64_t item = work->items[i];
        int class = class_of(item);
        uint32_t composite = 0;
        if (starter != SIZE_MAX && blocked < class)
            composite = ft_unicode_compose(code_point_of(work->items[starter]), code_point_of(item));
        if (composite != 0) {
            work->items[starter] = composite;
            continue;
        }
        if (class == 0) starter = n;
        blocked = class == 0 ? -1 : class;
        work->items[n++] = item;
    }
    work->n = n;
}

static ft_status put_composed(const ft_nfc_work *work, size_t end, ft_rewrite *rewrite)
{
    for (size_t i = 0; i < work->n; i++) {
        char text[4];
        FT_TRY(ft_rewrite_put(rewrite, text, ft_utf8_encode(code_point_of(work->items[i]), text), end));
    }
    return FT_OK;
}

// Whether [from, to) is what was composed.
static bool unchanged(const ft_nfc_work *work, const char *text, size_t bytes)
{
    size_t at = 0, n;
    for (size_t i = 0; i < work->n; i++, at += n) {
        if (at >= bytes || ft_utf8_decode(text + at, &n) != code_point_of(work->items[i])) return false;
    }
    return at == bytes;
}

typedef struct {
    size_t begin, check, end;  // [begin, end) may change; `check` is its first character that says so
} stretch;

// The next stretch at or after `from`; begin = bytes if there is none.
static stretch next_stretch(const char *text, size_t bytes, size_t from)
{
    const uint8_t *classes = ft_unicode_classes();
    size_t before = from, i = from, n;
    bool whole = false;  // text[before, i) is a character
    for (; i < bytes; before = i, i += n, whole = true) {
        while (i < bytes && (uint8_t)text[i] < 0x80) before = i++, whole = true;
        n = ft_utf8_char(text + i, bytes - i);
        if (n == 0) {
            n = i < bytes;
            continue;
        }
        if (classes[ft_utf8_decode(text + i, &n)] & FT_NFC_CHECK) break;
    }
    if (i >= bytes) return (stretch){bytes, bytes, bytes};
    if (!whole || ft_utf8_char(text + before, i - before) != i - before) before = i;
    stretch s = {before, i, i};
    while (s.end < bytes && (n = ft_utf8_char(text + s.end, bytes - s.end)) > 0) {
        if (!(classes[ft_utf8_decode(text + s.end, &n)] & FT_NFC_CHECK)) break;
        s.end += n;
    }
    return s;
}

ft_status ft_nfc(const ft_piece *in, bool mapped, ft_rewrite *rewrite, ft_nfc_work *work, ft_piece *out)
{
    *out = *in;
    size_t done = 0;
    bool started = false;
    for (size_t at = 0; at < in->bytes;) {
        stretch s = next_stretch(in->text, in->bytes, at);
        at = s.end;
        if (s.begin == in->bytes) break;
        FT_TRY(decompose(work, in->text + s.begin, s.end - s.begin));
        put_in_order(work);
        compose(work);
        if (unchanged(work, in->text + s.begin, s.end - s.begin)) continue;
        if (!started) FT_TRY(ft_rewrite_start(rewrite, mapped, in->base, in->bytes));
        started = true;
        FT_TRY(ft_rewrite_keep(rewrite, in, done, s.begin));
        FT_TRY(put_composed(work, ft_piece_offset(in, s.end), rewrite));
        done = s.end;
    }
    if (!started) return FT_OK;
    FT_TRY(ft_rewrite_keep(rewrite, in, done, in->bytes));
    *out = ft_rewrite_piece(rewrite);
    return FT_OK;
}
