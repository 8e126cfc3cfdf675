// Long words: a doubly linked list of symbols and a binary heap of candidate merges ordered by (rank, position). An entry is
// not removed when a neighbour of its pair is merged away; it is recognised as stale when it comes to the top.
#include "common/memory.h"
#include "tokenizer/bpe.h"

static ft_status reserve(ft_bpe_work *work, int64_t n)
{
    if (n > INT32_MAX / 4) return ft_error(FT_E_INPUT, "a word of %lld bytes cannot be tokenized", (long long)n);
    if (n <= work->capacity) return FT_OK;
    ft_bpe_symbol *symbols = ft_realloc(work->symbols, (size_t)n * sizeof *symbols);
    FT_ALLOC_CHECK(symbols);
    work->symbols = symbols;
    // n - 1 pairs at the start, and each of at most n - 1 merges adds two.
    ft_bpe_candidate *heap = ft_realloc(work->heap, (size_t)n * 3 * sizeof *heap);
    FT_ALLOC_CHECK(heap);
    work->heap = heap;
    work->capacity = (int32_t)n;
    return FT_OK;
}

static bool before(ft_bpe_candidate a, ft_bpe_candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.position < b.position;
}

static void push(ft_bpe_work *work, ft_bpe_candidate candidate)
{
    int32_t i = work->n_heap++;
    for (; i > 0 && before(candidate, work->heap[(i - 1) / 2]); i = (i - 1) / 2) work->heap[i] = work->heap[(i - 1) / 2];
    work->heap[i] = candidate;
}

static ft_bpe_candidate pop(ft_bpe_work *work)
{
    ft_bpe_candidate top = work->heap[0], last = work->heap[--work->n_heap];
    int32_t i = 0, n = work->n_heap;
    for (int32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(work->heap[child + 1], work->heap[child])) child++;
        if (!before(work->heap[child], last)) break;
        work->heap[i] = work->heap[child];
    }
    work->heap[i] = last;
    return top;
}

static void consider(const ft_bpe *bpe, ft_bpe_work *work, int32_t position)
{
    if (position < 0 || work->symbols[position].next < 0) return;
    const ft_bpe_symbol *symbol = &work->symbols[position];
    const ft_merge *merge = ft_merge_find(bpe, symbol->id, work->symbols[symbol->next].id);
    if (merge != NULL) push(work, (ft_bpe_candidate){merge->rank, position, merge->id});
}

static void link_symbols(ft_bpe_work *work)
{
    int32_t n = (int32_t)work->word.n;
    for (int32_t i = 0; i < n; i++) {
        work->symbols[i] = (ft_bpe_symbol){work->word.items[i], i - 1, i + 1 < n ? i + 1 : -1};
    }
}

// Merges the candidate's pair unless it is stale.
static void apply(const ft_bpe *bpe, ft_bpe_work *work, ft_bpe_candidate candidate)
{
    ft_bpe_symbol *left = &work->symbols[candidate.position];
    if (left->id < 0 || left->next < 0) return;
    ft_bpe_symbol *right = &work->symbols[left->next];
    const ft_merge *merge = ft_merge_find(bpe, left->id, right->id);
    if (merge == NULL || merge->rank != candidate.rank) return;
    left->id = candidate.id;
    right->id = -1;
    left->next = right->next;
    if (left->next >= 0) work->symbols[left->next].previous = candidate.position;
    consider(bpe, work, left->previous);
    consider(bpe, work, candidate.position);
}

ft_status ft_bpe_merge_long(const ft_bpe *bpe, ft_bpe_work *work)
{
    int32_t n = (int32_t)work->word.n;
    FT_TRY(reserve(work, work->word.n));
    link_symbols(work);
    work->n_heap = 0;
    for (int32_t i = 0; i + 1 < n; i++) consider(bpe, work, i);
    while (work->n_heap > 0) apply(bpe, work, pop(work));
    work->word.n = 0;
    for (int32_t i = 0; i >= 0; i = work->symbols[i].next) work->word.items[work->word.n++] = work->symbols[i].id;
    return FT_OK;
}
