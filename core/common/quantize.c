// Quantized matrices: scale layout, quantization in 128x128 tiles, dequantization by rows. Parallel over tiles and rows; the
// sums are taken tile by tile in order, so they do not depend on the threads.
#include <float.h>

#include "common/codec_ops.h"
#include "common/threads.h"

enum {
    TILES_PER_BATCH = 256,        // results of a batch stand on the stack
    DEQUANTIZE_PIECE = 64 * 1024  // elements worth handing to a thread
};

static int64_t tiles(int64_t n)
{
    return (n + FT_TILE - 1) / FT_TILE;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

size_t ft_scale_count(ft_scale_kind kind, int64_t rows, int64_t cols)
{
    switch (kind) {
    case FT_SCALE_TENSOR: return 4;
    case FT_SCALE_ROW: return (size_t)((rows + 3) / 4 * 4);
    case FT_SCALE_TILE: return (size_t)(tiles(rows) * ft_scale_stride(cols));
    default: return 0;
    }
}

typedef struct {
    double error_sq, norm_sq;
    bool non_finite;
} tile_result;

typedef struct {
    const ft_codec_ops *ops;
    ft_e4m3 *codes;
    float *scales;  // of the first tile row of this call
    const float *src;
    int64_t n_rows, cols;
    int64_t first_tile;  // of the batch, row-major over the tiles of this call
    tile_result results[TILES_PER_BATCH];
} quantize_call;

// One tile: its rows, columns and first element in src and codes.
typedef struct {
    int64_t row, col, rows, cols, offset;
} tile_box;

static tile_box tile_at(const quantize_call *call, int64_t tile)
{
    tile_box box = {.row = tile / tiles(call->cols) * FT_TILE, .col = tile % tiles(call->cols) * FT_TILE};
    box.rows = smaller(FT_TILE, call->n_rows - box.row);
    box.cols = smaller(FT_TILE, call->cols - box.col);
    box.offset = box.row * call->cols + box.col;
    return box;
}

// FLT_MIN at least: a subnormal scale would be rounded coarsely here and flushed to zero on a GPU.
static float scale_of(uint32_t amax_bits)
{
    if (amax_bits == 0) return 1.0f;
    float scale = ft_bits_to_f32(amax_bits) / FT_E4M3_MAX;
    return scale < FLT_MIN ? FLT_MIN : scale;
}

// A fixed tree.
static double sum_lanes(const double lane[8])
{
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

static tile_result quantize_tile(const quantize_call *call, tile_box box)
{
    uint32_t amax = 0;
    for (int64_t r = 0; r < box.rows; r++) {
        uint32_t row_amax = call->ops->amax_bits(call->src + box.offset + r * call->cols, (size_t)box.cols);
        if (row_amax > amax) amax = row_amax;
    }
    if (amax >= 0x7F800000) return (tile_result){.non_finite = true};
    float scale = scale_of(amax);
    call->scales[box.row / FT_TILE * ft_scale_stride(call->cols) + box.col / FT_TILE] = scale;
    ft_tile_sums sums = {0};
    for (int64_t r = 0; r < box.rows; r++) {
        int64_t at = box.offset + r * call->cols;
        call->ops->quantize(call->codes + at, call->src + at, (size_t)box.cols, scale, &sums);
    }
    return (tile_result){.error_sq = sum_lanes(sums.error_sq), .norm_sq = sum_lanes(sums.norm_sq)};
}

static void quantize_tiles(void *context, int64_t begin, int64_t end)
{
    quantize_call *call = context;
    for (int64_t i = begin; i < end; i++) call->results[i] = quantize_tile(call, tile_at(call, call->first_tile + i));
}

static ft_status non_finite_error(const quantize_call *call, tile_box box, int64_t row0)
{
    int64_t i = 0;
    while ((ft_f32_to_bits(call->src[box.offset + i / box.cols * call->cols + i % box.cols]) & 0x7F800000) != 0x7F800000) i++;
    float value = call->src[box.offset + i / box.cols * call->cols + i % box.cols];
    return ft_error(FT_E_NUMERIC, "value %g at row %lld, column %lld cannot be quantized: repair the source weights",
                    (double)value, (long long)(row0 + box.row + i / box.cols), (long long)(box.col + i % box.cols));
}

static ft_status quantize_batch(quantize_call *call, int64_t n, int64_t row0, double *error_sq, double *norm_sq)
{
    ft_parallel_for(n, 1, quantize_tiles, call);
    for (int64_t i = 0; i < n; i++) {
        if (call->results[i].non_finite) return non_finite_error(call, tile_at(call, call->first_tile + i), row0);
        *error_sq += call->results[i].error_sq;
        *norm_sq += call->results[i].norm_sq;
    }
    return FT_OK;
}

ft_status ft_quantize_tile(ft_e4m3 *codes, float *scales, const float *src, int64_t row0, int64_t n_rows, int64_t cols,
                           double *error_sq, double *norm_sq)
{
    FT_ASSERT(row0 % FT_TILE == 0, "tile rows start at multiples of %d, not at %lld", FT_TILE, (long long)row0);
    int64_t stride = ft_scale_stride(cols);
    quantize_call call = {.ops = ft_codec_best(), .codes = codes, .scales = scales + row0 / FT_TILE * stride, .src = src,
                          .n_rows = n_rows, .cols = cols};
    for (int64_t r = 0; r < tiles(n_rows); r++) {
        for (int64_t c = tiles(cols); c < stride; c++) call.scales[r * stride + c] = 1.0f;
    }
    int64_t n_tiles = tiles(n_rows) * tiles(cols);
    for (; call.first_tile < n_tiles; call.first_tile += TILES_PER_BATCH) {
        FT_TRY(quantize_batch(&call, smaller(TILES_PER_BATCH, n_tiles - call.first_tile), row0, error_sq, norm_sq));
    }
    return FT_OK;
}

void ft_scale_transpose(float *dst, const float *src, int64_t rows, int64_t cols)
{
    int64_t src_stride = ft_scale_stride(cols), dst_stride = ft_scale_stride(rows);
    for (int64_t c = 0; c < tiles(cols); c++) {
        for (int64_t r = 0; r < dst_stride; r++) {
            dst[c * dst_stride + r] = r < tiles(rows) ? src[r * src_stride + c] : 1.0f;
        }
    }
}

typedef struct {
    const ft_codec_ops *ops;
    float *dst;
    const ft_e4m3 *codes;
    const float *scales;
    ft_scale_kind kind;
    int64_t dst_ld, row0, cols;
} dequantize_call;

static void dequantize_tile_row(const dequantize_call *call, int64_t r)
{
    const float *scales = call->scales + (call->row0 + r) / FT_TILE * ft_scale_stride(call->cols);
    for (int64_t c = 0; c < call->cols; c += FT_TILE) {
        size_t width = (size_t)smaller(FT_TILE, call->cols - c);
        call->ops->dequantize(call->dst + r * call->dst_ld + c, call->codes + r * call->cols + c, width, scales[c / FT_TILE]);
    }
}

static float row_scale(const dequantize_call *call, int64_t r)
{
    switch (call->kind) {
    case FT_SCALE_TENSOR: return call->scales[0];
    case FT_SCALE_ROW: return call->scales[call->row0 + r];
    default: return 1.0f;
    }
}

static void dequantize_rows(void *context, int64_t begin, int64_t end)
{
    const dequantize_call *call = context;
    for (int64_t r = begin; r < end; r++) {
        if (call->kind == FT_SCALE_TILE) {
            dequantize_tile_row(call, r);
        } else {
            float *dst = call->dst + r * call->dst_ld;
            call->ops->dequantize(dst, call->codes + r * call->cols, (size_t)call->cols, row_scale(call, r));
        }
    }
}

void ft_dequantize_rows(float *dst, int64_t dst_ld, const ft_e4m3 *codes, const float *scales, ft_scale_kind kind,
                        int64_t row0, int64_t n_rows, int64_t cols)
{
    dequantize_call call = {.ops = ft_codec_best(), .dst = dst, .codes = codes, .scales = scales, .kind = kind,
                            .dst_ld = dst_ld, .row0 = row0, .cols = cols};
    ft_parallel_for(n_rows, cols < DEQUANTIZE_PIECE ? DEQUANTIZE_PIECE / (cols > 0 ? cols : 1) : 1, dequantize_rows, &call);
}
