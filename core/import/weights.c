// Tensors: read in row blocks, dequantized, put in order, rounded, written.
#include "common/codec.h"
#include "common/memory.h"
#include "common/threads.h"
#include "import/import_internal.h"

#define BLOCK_ELEMENTS ((int64_t)4 << 20)

// A row block on its way; the rows are shared out over the threads.
typedef struct {
    const import_tensor *tensor;
    ft_dtype dtype;
    int64_t head_dim;     // 0: rows stay where they are
    unsigned char *raw;   // rows as the GGUF has them
    float *values;        // one row per row of the block
    unsigned char *out;
    uint8_t *infinite;    // per row: a value that is not finite in `dtype`
} block;

// The place of a row of q or k within its head. llama.cpp rotates neighbours (2j, 2j + 1), transformers halves (j, j + D/2);
// the converter moved row p D/2 + j to 2j + p.
static int64_t place_of(int64_t row, int64_t head_dim)
{
    if (head_dim == 0) return row;
    int64_t in_head = row % head_dim;
    return row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
}

static void convert_rows(void *context, int64_t begin, int64_t end)
{
    const block *b = context;
    const ft_gguf_encoding *encoding = b->tensor->source->encoding;
    int64_t cols = b->tensor->cols, blocks = cols / encoding->block;
    for (int64_t row = begin; row < end; row++) {
        float *values = b->values + row * cols;
        encoding->dequantize(values, b->raw + row * blocks * encoding->bytes, blocks);
        unsigned char *out = b->out + place_of(row, b->head_dim) * cols * (int64_t)ft_dtype_bytes(b->dtype);
        (void)ft_convert_from_f32(out, values, b->dtype, (size_t)cols);
        b->infinite[row] = !ft_all_finite(out, b->dtype, cols);
    }
}

static ft_status check_rows(const import *im, const block *b, int64_t first, int64_t n)
{
    const ft_gguf_tensor *source = b->tensor->source;
    for (int64_t row = 0; row < n; row++) {
        if (b->infinite[row])
            return ft_error(FT_E_NUMERIC, "%s: tensor %.*s: row %lld has values that are not finite in %s",
                            im->series.files[source->file].path, (int)source->name.bytes, source->name.data, (long long)(first + row),
                            ft_dtype_name(b->dtype));
    }
    return FT_OK;
}

static int64_t rows_at_once(const import_tensor *t, int64_t head_dim)
{
    int64_t unit = head_dim > 0 ? head_dim : 1, rows = BLOCK_ELEMENTS / t->cols / unit * unit;
    rows = rows > unit ? rows : unit;
    return rows < t->rows ? rows : t->rows;
}

static int64_t permuted_head(const import *im, const import_tensor *t)
{
    return im->permuted && (t->role == FT_ROLE_Q || t->role == FT_ROLE_K) ? im->shape.head_dim : 0;
}

static ft_status advance(import *im, int64_t bytes)
{
    im->written += (double)bytes;
    ft_progress_update(&im->progress, im->written);
    if (im->options->stop == NULL || !*im->options->stop) return FT_OK;
    return ft_error(FT_E_STOPPED, "import stopped; nothing was written to %s", im->options->output);
}

static ft_status write_tensor(import *im, block *b, ft_safetensors_writer *writer)
{
    const import_tensor *t = b->tensor;
    int64_t most = rows_at_once(t, b->head_dim), row_bytes = t->source->bytes / t->rows;
    int64_t out_bytes = t->cols * (int64_t)ft_dtype_bytes(b->dtype);
    for (int64_t row = 0; row < t->rows; row += most) {
        int64_t n = t->rows - row < most ? t->rows - row : most;
        FT_TRY(ft_gguf_series_read(&im->series, t->source, row * row_bytes, n * row_bytes, b->raw));
        ft_parallel_for(n, 1, convert_rows, b);
        FT_TRY(check_rows(im, b, row, n));
        FT_TRY(ft_safetensors_write(writer, b->out, n * out_bytes));
        FT_TRY(advance(im, n * out_bytes));
    }
    return FT_OK;
}

static ft_status write_tensors(import *im, const ft_model_shard *shard, block *b, ft_safetensors_writer *writer)
{
    FT_TRY(ft_safetensors_metadata_add(writer, "format", "pt"));
    for (int64_t i = shard->begin; i < shard->end; i++) {
        const import_tensor *t = &im->tensors[i];
        const int64_t shape[2] = {t->source->rank == 1 ? t->cols : t->rows, t->cols};
        FT_TRY(ft_safetensors_declare(writer, t->name, b->dtype, t->source->rank, shape));
    }
    FT_TRY(ft_safetensors_begin(writer));
    for (int64_t i = shard->begin; i < shard->end; i++) {
        b->tensor = &im->tensors[i];
        b->head_dim = permuted_head(im, b->tensor);
        FT_TRY(write_tensor(im, b, writer));
    }
    return ft_safetensors_finish(writer, false);  // the commit syncs every file
}

static ft_status write_shard(import *im, const ft_model_shard *shard, block *b)
{
    ft_safetensors_writer *writer = NULL;
    char *path = ft_commit_path(&im->commit, shard->name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_safetensors_create(&writer, path);
    if (status == FT_OK) status = write_tensors(im, shard, b, writer);
    ft_safetensors_discard(writer);
    ft_free(path);
    return status;
}

static ft_status allocate(const import *im, block *b)
{
    int64_t elements = 0, raw = 0, rows = 0;
    for (int64_t i = 0; i < im->n_tensors; i++) {
        const import_tensor *t = &im->tensors[i];
        int64_t n = rows_at_once(t, permuted_head(im, t)), bytes = n * (t->source->bytes / t->rows);
        elements = n * t->cols > elements ? n * t->cols : elements;
        raw = bytes > raw ? bytes : raw;
        rows = n > rows ? n : rows;
    }
    b->values = ft_malloc((size_t)elements * sizeof *b->values);
    b->out = ft_malloc((size_t)elements * ft_dtype_bytes(b->dtype));
    b->raw = ft_malloc((size_t)raw);
    b->infinite = ft_malloc((size_t)rows);
    return b->values && b->out && b->raw && b->infinite ? FT_OK : FT_E_NOMEM;
}

ft_status ft_import_write_weights(import *im)
{
    block b = {.dtype = im->options->dtype};
    ft_status status = allocate(im, &b);
    ft_progress_begin(&im->progress, "importing", "B", (double)im->total_bytes);
    for (int64_t s = 0; s < im->n_shards && status == FT_OK; s++) status = write_shard(im, &im->shards[s], &b);
    ft_progress_end(&im->progress);
    ft_free(b.values);
    ft_free(b.out);
    ft_free(b.raw);
    ft_free(b.infinite);
    return status;
}
