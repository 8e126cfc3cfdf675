// Source rows -> what a record keeps: E4M3 codes with tile scales, bf16, or the bytes as they are (norms, embedding, head, every
// weight of a quantized checkpoint). A block is read, checked and
// widened by all threads; a value that is not finite stops the build and is named.
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "common/memory.h"
#include "common/threads.h"
#include "offload/store_internal.h"

#define BLOCK_ELEMENTS ((int64_t)2 << 20)  // of a block whose rows are short
#define PIECE_ELEMENTS ((int64_t)64 << 10) // worth handing to a thread

static size_t widest_source(const ft_store_source *source)
{
    size_t bytes = 1;
    for (int i = 0; i < source->files.n_tensors; i++) {
        size_t element = ft_dtype_bytes(source->files.sorted[i]->dtype);
        if (element > bytes) bytes = element;
    }
    return bytes;
}

// Elements of the largest block: 128 rows of the widest tensor at least.
static int64_t largest_block(const ft_layout *layout)
{
    int64_t elements = BLOCK_ELEMENTS;
    for (int r = 0; r < layout->n_records; r++)
        for (int i = 0; i < layout->record[r].n_tensors; i++) {
            const ft_record_tensor *tensor = &layout->record[r].tensor[i];
            int64_t rows = tensor->rows < FT_TILE ? tensor->rows : FT_TILE;
            if (rows * tensor->cols > elements) elements = rows * tensor->cols;
        }
    return elements;
}

ft_status ft_converter_init(ft_converter *converter, const ft_store_source *source)
{
    *converter = (ft_converter){.block_elements = largest_block(&source->layout)};
    size_t n = (size_t)converter->block_elements;
    converter->raw = ft_malloc(n * widest_source(source));
    converter->f32 = converter->raw != NULL ? ft_malloc(n * sizeof(float)) : NULL;
    converter->out = converter->f32 != NULL ? ft_malloc(n * (source->layout.format == FT_BASE_FP8 ? 1 : sizeof(ft_bf16))) : NULL;
    if (converter->out != NULL) return FT_OK;
    ft_converter_free(converter);
    return FT_E_NOMEM;
}

void ft_converter_free(ft_converter *converter)
{
    ft_free(converter->raw);
    ft_free(converter->f32);
    ft_free(converter->out);
    *converter = (ft_converter){0};
}

int64_t ft_converter_rows(const ft_converter *converter, int64_t cols)
{
    int64_t rows = converter->block_elements / cols / FT_TILE * FT_TILE;
    return rows > 0 ? rows : FT_TILE;
}

// One block on its way in.
typedef struct {
    ft_converter *converter;
    const ft_store_source *source;
    const ft_tensor_info *tensor;
    int64_t row0, cols;
    bool widen;
    atomic_bool failed;
} block_call;

// The first value of a row that is not finite; there is one.
static ft_status non_finite_error(const block_call *call, const char *row, int64_t row_number, ft_dtype dtype, const char *why)
{
    int64_t col = 0;
    while (ft_all_finite(row + col * (int64_t)ft_dtype_bytes(dtype), dtype, 1)) col++;
    float value = NAN;  // the one fault E4M3 can have
    if (dtype != FT_DTYPE_F8_E4M3) FT_TRY(ft_convert_to_f32(&value, row + col * (int64_t)ft_dtype_bytes(dtype), dtype, 1));
    return ft_error(FT_E_NUMERIC, "%s: tensor %s: value %g at row %lld, column %lld%s: repair the source weights",
                    call->source->files.files[call->tensor->file].path, call->tensor->name, (double)value, (long long)row_number,
                    (long long)col, why);
}

static ft_status check_rows(const block_call *call, const char *rows, int64_t begin, int64_t n, ft_dtype dtype, const char *why)
{
    int64_t row_bytes = call->cols * (int64_t)ft_dtype_bytes(dtype);
    for (int64_t r = 0; r < n; r++)
        if (!ft_all_finite(rows + r * row_bytes, dtype, call->cols))
            return non_finite_error(call, rows + r * row_bytes, call->row0 + begin + r, dtype, why);
    return FT_OK;
}

// Rows [begin, end) of the block: read, check, widen.
static ft_status load_rows(block_call *call, int64_t begin, int64_t end)
{
    ft_dtype dtype = call->tensor->dtype;
    int64_t row_bytes = call->cols * (int64_t)ft_dtype_bytes(dtype);
    char *raw = (char *)call->converter->raw + begin * row_bytes;
    int64_t at = (call->row0 + begin) * row_bytes, bytes = (end - begin) * row_bytes;
    FT_TRY(ft_model_files_read(&call->source->files, call->tensor, at, bytes, raw));
    FT_TRY(check_rows(call, raw, begin, end - begin, dtype, ""));
    if (!call->widen) return FT_OK;
    return ft_convert_to_f32(call->converter->f32 + begin * call->cols, raw, dtype, (size_t)((end - begin) * call->cols));
}

static void load_piece(void *context, int64_t begin, int64_t end)
{
    block_call *call = context;
    if (load_rows(call, begin, end) != FT_OK) atomic_store(&call->failed, true);
}

// Messages are per thread: after a failure the block is loaded again here, which finds the first fault in row order.
static ft_status load_block(block_call *call, int64_t n_rows)
{
    int64_t grain = PIECE_ELEMENTS / call->cols;
    ft_parallel_for(n_rows, grain > 0 ? grain : 1, load_piece, call);
    return atomic_load(&call->failed) ? load_rows(call, 0, n_rows) : FT_OK;
}

// What rounding to bf16 changed, summed in order.
static void add_rounding_error(ft_store_error *error, const float *exact, const ft_bf16 *rounded, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double w = exact[i], e = (double)ft_bf16_to_f32(rounded[i]) - w;
        error->error_sq += e * e;
        error->norm_sq += w * w;
    }
}

static ft_status round_block(block_call *call, int64_t n_rows, ft_store_error *error)
{
    ft_converter *converter = call->converter;
    int64_t n = n_rows * call->cols;
    FT_TRY(ft_convert_from_f32(converter->out, converter->f32, FT_DTYPE_BF16, (size_t)n));
    FT_TRY(check_rows(call, converter->out, 0, n_rows, FT_DTYPE_BF16, " after rounding to bf16"));
    add_rounding_error(error, converter->f32, converter->out, n);
    return FT_OK;
}

ft_status ft_convert_rows(ft_converter *converter, const ft_store_source *source, const ft_tensor_info *tensor,
                          const ft_record_tensor *target, int64_t row0, int64_t n_rows, float *scales, ft_store_error *error,
                          const void **out)
{
    block_call call = {.converter = converter, .source = source, .tensor = tensor, .row0 = row0, .cols = target->cols,
                       .widen = target->dtype != tensor->dtype};
    FT_ASSERT(n_rows * target->cols <= converter->block_elements);
    FT_TRY(load_block(&call, n_rows));
    *out = call.widen ? converter->out : converter->raw;
    if (!call.widen) return FT_OK;
    if (target->kind == FT_SCALE_NONE) return round_block(&call, n_rows, error);
    return ft_quantize_tile(converter->out, scales, converter->f32, row0, n_rows, target->cols, &error->error_sq, &error->norm_sq);
}
