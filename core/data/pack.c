// First-fit decreasing (Johnson 1973): the samples of a window, longest first, each into the first row that has room. A row's
// free space stands in a tournament tree, so a sample finds its row in O(log rows).
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/rng.h"
#include "data/samples.h"

// A window takes at least so many samples and so many rows' worth of tokens: what its last row wastes is then below 1 %.
#define WINDOW_SAMPLES 4096
#define WINDOW_ROWS 128
#define ROW_SHUFFLE 0x526F7773u  // keys the order of rows apart from that of samples

typedef struct {
    int64_t length, position;   // position in the epoch's order
    int64_t sample, row;
} placed_sample;

typedef struct {
    const ft_samples *samples;
    int64_t sequence_len;
    int64_t n;                  // samples of the epoch, repeated ones as often as they come
    int64_t *order;             // [n]
    placed_sample *window;      // [n]: placements of all windows, one after the other
    int64_t *space;             // tree over the rows of a window: space[leaves + row], parents hold the maximum
    int64_t leaves;
    int64_t n_rows;
} packing_state;

static int longest_first(const void *a, const void *b)
{
    const placed_sample *x = a, *y = b;
    if (x->length != y->length) return x->length > y->length ? -1 : 1;
    return x->position < y->position ? -1 : 1;
}

static int by_row(const void *a, const void *b)
{
    const placed_sample *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return longest_first(a, b);
}

static void tree_reset(packing_state *s, int64_t rows)
{
    for (s->leaves = 1; s->leaves < rows; s->leaves *= 2) {}
    for (int64_t i = 1; i < 2 * s->leaves; i++) s->space[i] = s->sequence_len;
}

// Takes `length` slots of the first row with so much space; returns the row. There are as many rows as samples.
static int64_t tree_take(packing_state *s, int64_t length)
{
    int64_t node = 1;
    while (node < s->leaves) {
        node *= 2;
        if (s->space[node] < length) node++;
    }
    int64_t row = node - s->leaves;
    s->space[node] -= length;
    for (node /= 2; node >= 1; node /= 2) {
        int64_t left = s->space[2 * node], right = s->space[2 * node + 1];
        s->space[node] = left > right ? left : right;
    }
    return row;
}

// Samples from order[begin] on that make a window.
static int64_t window_end(const packing_state *s, int64_t begin)
{
    int64_t tokens = 0, end = begin;
    while (end < s->n && (end - begin < WINDOW_SAMPLES || tokens < WINDOW_ROWS * s->sequence_len)) {
        tokens += ft_sample_length(s->samples, s->order[end++]);
    }
    return end;
}

static void pack_window(packing_state *s, int64_t begin, int64_t end)
{
    placed_sample *window = s->window + begin;
    int64_t n = end - begin, rows = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t sample = s->order[begin + i];
        window[i] = (placed_sample){ft_sample_length(s->samples, sample), begin + i, sample, 0};
    }
    qsort(window, (size_t)n, sizeof *window, longest_first);
    tree_reset(s, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = tree_take(s, window[i].length);
        if (row >= rows) rows = row + 1;
        window[i].row = s->n_rows + row;
    }
    s->n_rows += rows;
}

static void place_unpacked(packing_state *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        int64_t sample = s->order[i];
        s->window[i] = (placed_sample){ft_sample_length(s->samples, sample), i, sample, i};
    }
    s->n_rows = s->n;
}

static ft_status check_lengths(const ft_samples *samples, int64_t sequence_len)
{
    for (int64_t i = 0; i < samples->n; i++) {
        if (ft_sample_length(samples, i) > sequence_len) {
            return ft_error(FT_E_INPUT, "sample %lld has %lld tokens, more than sequence_len %lld", (long long)i,
                            (long long)ft_sample_length(samples, i), (long long)sequence_len);
        }
    }
    return FT_OK;
}

// place[row] = where the row stands; the identity unless shuffled.
static ft_status shuffle_rows(packing_state *s, uint64_t seed, uint32_t epoch)
{
    int64_t *place = FT_NEW_ARRAY(int64_t, s->n_rows);
    FT_ALLOC_CHECK(place);
    ft_rng_permutation(place, s->n_rows, seed ^ (uint64_t)ROW_SHUFFLE << 32, epoch);
    for (int64_t i = 0; i < s->n; i++) s->window[i].row = place[s->window[i].row];
    ft_free(place);
    return FT_OK;
}

static ft_status emit(packing_state *s, ft_packs *packs)
{
    int64_t n = s->n;
    packs->sample = FT_NEW_ARRAY(int64_t, n);
    packs->row_begin = FT_NEW_ARRAY(int64_t, s->n_rows + 1);
    if (packs->sample == NULL || packs->row_begin == NULL) return FT_E_NOMEM;
    packs->n_rows = s->n_rows;
    qsort(s->window, (size_t)n, sizeof *s->window, by_row);
    for (int64_t i = 0; i < n; i++) {
        packs->sample[i] = s->window[i].sample;
        packs->row_begin[s->window[i].row + 1] = i + 1;
    }
    return FT_OK;
}

static ft_status init(packing_state *s)
{
    s->window = FT_NEW_ARRAY(placed_sample, s->n);
    s->space = FT_NEW_ARRAY(int64_t, 4 * s->n + 2);  // twice the next power of two
    return s->window && s->space ? FT_OK : FT_E_NOMEM;
}

ft_status ft_pack(ft_packs *packs, const ft_samples *samples, int64_t sequence_len, bool packing, bool shuffle, uint64_t seed,
                  uint32_t epoch)
{
    packing_state s = {.samples = samples, .sequence_len = sequence_len};
    ft_status status;
    *packs = (ft_packs){0};
    FT_TRY(check_lengths(samples, sequence_len));
    FT_TRY_GOTO(status, out, ft_epoch_order(samples, shuffle, seed, epoch, &s.order, &s.n));
    FT_TRY_GOTO(status, out, init(&s));
    if (!packing) place_unpacked(&s);
    for (int64_t at = 0, end; packing && at < s.n; at = end) {
        end = window_end(&s, at);
        pack_window(&s, at, end);
    }
    if (packing && shuffle) FT_TRY_GOTO(status, out, shuffle_rows(&s, seed, epoch));
    status = emit(&s, packs);
out:
    ft_free(s.order);
    ft_free(s.window);
    ft_free(s.space);
    if (status != FT_OK) ft_packs_free(packs);
    return status;
}

void ft_packs_free(ft_packs *packs)
{
    ft_free(packs->sample);
    ft_free(packs->row_begin);
    *packs = (ft_packs){0};
}
