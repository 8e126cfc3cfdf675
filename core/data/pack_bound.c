// The most documents any packing can put into a row, whatever the shuffle: as many of the shortest samples as fit, and the
// masked rest.
#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "data/dataset.h"

typedef struct {
    int64_t length, copies;
} sample_size;

static int shortest_first(const void *a, const void *b)
{
    const sample_size *x = a, *y = b;
    return x->length < y->length ? -1 : x->length > y->length;
}

static int64_t copies_of(const ft_samples *samples, int64_t i)
{
    return samples->weights ? (int64_t)ceil(samples->weights[samples->source[i]]) : 1;
}

ft_status ft_pack_most_documents(const ft_samples *samples, int64_t sequence_len, bool packing, int64_t *most)
{
    *most = 2;
    if (!packing || samples->n == 0) return FT_OK;
    sample_size *size = FT_NEW_ARRAY(sample_size, samples->n);
    FT_ALLOC_CHECK(size);
    for (int64_t i = 0; i < samples->n; i++) size[i] = (sample_size){samples->begin[i + 1] - samples->begin[i], copies_of(samples, i)};
    qsort(size, (size_t)samples->n, sizeof *size, shortest_first);
    int64_t space = sequence_len, documents = 0;
    for (int64_t i = 0; i < samples->n && space >= size[i].length; i++) {
        int64_t fit = space / size[i].length, n = fit < size[i].copies ? fit : size[i].copies;
        documents += n;
        space -= n * size[i].length;
    }
    ft_free(size);
    *most = documents + 1;
    return FT_OK;
}
