// W + scale * B A, one row of W at a time. A row's sum has one order (k ascending), whoever computes it, so the result does not
// depend on the number of threads.
#include <math.h>
#include <string.h>

#include "common/codec.h"
#include "common/memory.h"
#include "common/threads.h"
#include "train/merge_internal.h"

static int64_t strips_of(int64_t cols)
{
    return (cols + FT_MERGE_STRIP - 1) / FT_MERGE_STRIP;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

ft_status ft_merge_buffers_alloc(merge *m)
{
    merge_buffers *b = &m->buffers;
    int64_t r = m->adapter.r, in = 0, out = 0, narrowest = FT_MERGE_BLOCK;
    for (int64_t t = 0; t < m->adapter.n_tensors; t += 2) {
        in = max64(in, m->adapter.tensor[t].cols);
        out = max64(out, m->adapter.tensor[t + 1].rows);
        if (m->adapter.tensor[t].cols < narrowest) narrowest = m->adapter.tensor[t].cols;
    }
    b->block_elements = max64(FT_MERGE_BLOCK, in);
    b->block_rows = b->block_elements / narrowest;
    FT_ALLOC_CHECK(b->a = FT_NEW_ARRAY(double, strips_of(in) * r * FT_MERGE_STRIP));
    FT_ALLOC_CHECK(b->b = FT_NEW_ARRAY(float, out * r));
    FT_ALLOC_CHECK(b->in = ft_malloc((size_t)b->block_elements * sizeof(float)));
    FT_ALLOC_CHECK(b->out = ft_malloc((size_t)b->block_elements * sizeof(float)));
    FT_ALLOC_CHECK(b->values = FT_NEW_ARRAY(float, max64(b->block_elements, in * r)));
    FT_ALLOC_CHECK(b->delta_sq = FT_NEW_ARRAY(double, b->block_rows));
    FT_ALLOC_CHECK(b->weight_sq = FT_NEW_ARRAY(double, b->block_rows));
    FT_ALLOC_CHECK(b->changed = FT_NEW_ARRAY(uint8_t, b->block_rows));
    FT_ALLOC_CHECK(b->infinite = FT_NEW_ARRAY(uint8_t, b->block_rows));
    return FT_OK;
}

void ft_merge_buffers_free(merge *m)
{
    merge_buffers *b = &m->buffers;
    void *all[] = {b->a, b->b, b->in, b->out, b->values, b->delta_sq, b->weight_sq, b->changed, b->infinite};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) ft_free(all[i]);
    *b = (merge_buffers){0};
}

// A in float32 passes through `values`; in strips of columns it is read in the order the sums need it.
static ft_status load_pair(merge *m, int64_t t)
{
    merge_buffers *b = &m->buffers;
    int64_t r = m->adapter.r, cols = m->adapter.tensor[t].cols;
    FT_TRY(ft_adapter_read_tensor(&m->adapter_file.file, m->adapter_file.tensor[t], b->values));
    memset(b->a, 0, (size_t)(strips_of(cols) * r * FT_MERGE_STRIP) * sizeof *b->a);
    for (int64_t k = 0; k < r; k++)
        for (int64_t j = 0; j < cols; j++)
            b->a[(j / FT_MERGE_STRIP * r + k) * FT_MERGE_STRIP + j % FT_MERGE_STRIP] = b->values[k * cols + j];
    return ft_adapter_read_tensor(&m->adapter_file.file, m->adapter_file.tensor[t + 1], b->b);
}

typedef struct {
    const merge_buffers *b;
    ft_dtype dtype;
    int64_t first, cols, r;      // first: row of W the block starts at
    double scale;
} block;

// sum[j] = sum over k of b[k] * a[k][j]; the constant length lets the compiler vectorise.
static void sum_strip(double sum[FT_MERGE_STRIP], const float *b, const double *a, int64_t r)
{
    memset(sum, 0, FT_MERGE_STRIP * sizeof *sum);
    for (int64_t k = 0; k < r; k++) {
        double factor = b[k];
        for (int j = 0; j < FT_MERGE_STRIP; j++) sum[j] += factor * a[k * FT_MERGE_STRIP + j];
    }
}

static void add_delta(const block *w, int64_t row, float *values)
{
    double sum[FT_MERGE_STRIP], delta_sq = 0, weight_sq = 0;
    const float *b = w->b->b + (w->first + row) * w->r;
    for (int64_t begin = 0; begin < w->cols; begin += FT_MERGE_STRIP) {
        int64_t n = w->cols - begin < FT_MERGE_STRIP ? w->cols - begin : FT_MERGE_STRIP;
        sum_strip(sum, b, w->b->a + begin * w->r, w->r);
        for (int64_t j = 0; j < n; j++) {
            double weight = values[begin + j], delta = w->scale * sum[j];
            weight_sq += weight * weight;
            delta_sq += delta * delta;
            values[begin + j] = (float)(weight + delta);
        }
    }
    w->b->delta_sq[row] = delta_sq;
    w->b->weight_sq[row] = weight_sq;
}

// Bits of element j of a row of 2-byte or 4-byte floats.
static uint32_t element_bits(const char *codes, ft_dtype dtype, int64_t j)
{
    uint16_t half;
    uint32_t single;
    if (dtype == FT_DTYPE_F32) {
        memcpy(&single, codes + 4 * j, 4);
        return single;
    }
    memcpy(&half, codes + 2 * j, 2);
    return half;
}

// By value: -0 + 0 is +0, which is no change.
static bool has_changed(const char *in, const char *out, ft_dtype dtype, int64_t n)
{
    uint32_t magnitude = dtype == FT_DTYPE_F32 ? 0x7FFFFFFF : 0x7FFF;
    for (int64_t j = 0; j < n; j++) {
        uint32_t before = element_bits(in, dtype, j), after = element_bits(out, dtype, j);
        if (before != after && ((before | after) & magnitude) != 0) return true;
    }
    return false;
}

// The dtype was checked when the merge was planned, so the conversion cannot fail. W stands in float32 in `values` already.
static void merge_rows(void *context, int64_t begin, int64_t end)
{
    const block *w = context;
    int64_t row_bytes = w->cols * (int64_t)ft_dtype_bytes(w->dtype);
    for (int64_t row = begin; row < end; row++) {
        float *values = w->b->values + row * w->cols;
        const char *in = w->b->in + row * row_bytes;
        char *out = w->b->out + row * row_bytes;
        add_delta(w, row, values);
        ft_convert_from_f32(out, values, w->dtype, (size_t)w->cols);
        w->b->changed[row] = has_changed(in, out, w->dtype, w->cols);
        w->b->infinite[row] = !ft_all_finite(out, w->dtype, w->cols);  // a finite float32 may have become infinite in F16
    }
}

static ft_status add_up(merge *m, const merge_item *item, const block *w, int64_t rows, double sums[2])
{
    for (int64_t row = 0; row < rows; row++) {
        if (w->b->infinite[row])
            return ft_error(FT_E_NUMERIC, "%.160s: row %lld is not finite in %s after merging", item->info->name,
                            (long long)(w->first + row), ft_dtype_name(w->dtype));
        m->rows_changed += w->b->changed[row];
        sums[0] += w->b->delta_sq[row];
        sums[1] += w->b->weight_sq[row];
    }
    return FT_OK;
}

static void note_change(ft_merge_result *result, const double sums[2])
{
    double change = sums[0] > 0 ? sqrt(sums[0] / sums[1]) : 0;  // infinite where W is zero
    if (change > result->largest_relative_change) result->largest_relative_change = change;
}

static ft_status merge_blocks(merge *m, const merge_item *item, const float *scales, ft_safetensors_writer *writer,
                              ft_hasher *hasher, double sums[2])
{
    int64_t rows = item->info->shape[0], cols = item->info->shape[1], row_bytes = cols * (int64_t)ft_dtype_bytes(item->dtype);
    int64_t most = m->buffers.block_elements / cols;
    block w = {&m->buffers, item->dtype, 0, cols, m->adapter.r, (double)m->adapter.scale};
    for (; w.first < rows; w.first += most) {
        int64_t n = rows - w.first < most ? rows - w.first : most;
        FT_TRY(ft_merge_load_rows(m, item, scales, w.first, n));
        ft_parallel_for(n, 1, merge_rows, &w);
        FT_TRY(add_up(m, item, &w, n, sums));
        ft_hasher_add(hasher, m->buffers.out, (size_t)(n * row_bytes));
        FT_TRY(ft_safetensors_write(writer, m->buffers.out, n * row_bytes));
        FT_TRY(ft_merge_advance(m, n * row_bytes));
    }
    return FT_OK;
}

ft_status ft_merge_tensor(merge *m, const merge_item *item, ft_safetensors_writer *writer, ft_hasher *hasher)
{
    double sums[2] = {0};
    float *scales;
    FT_TRY(load_pair(m, item->adapted));
    FT_TRY(ft_merge_scales(m, item, &scales));
    ft_status status = merge_blocks(m, item, scales, writer, hasher, sums);
    ft_free(scales);
    if (status == FT_OK) note_change(m->result, sums);
    return status;
}
