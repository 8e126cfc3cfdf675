// A linear group on the device beside what its float64 reference needs, for the tests of the two directions with bf16 and with
// E4M3 weights. All values are bf16 values; blocks of 128 differ in size, so that a scale taken from a wrong block shows.
#ifndef TESTS_GPU_LINEAR_CASE_H
#define TESTS_GPU_LINEAR_CASE_H

#include "gpu/gpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec.h"
#include "common/rng.h"

typedef struct {
    int64_t rows, in;
    int n_parts;
    int64_t out[FT_LINEAR_PARTS], r[FT_LINEAR_PARTS];
    bool bias[FT_LINEAR_PARTS];
    enum { NO_RESIDUAL, RESIDUAL, RESIDUAL_IS_Y } residual;
    float dropout;
    ft_scale_kind kind;       // NONE: bf16 weights
    bool twins;               // x and dy come with E4M3 twins
} linear_case;

enum { LINEAR_BLOCKS = 128, LINEAR_GAP = 64, LINEAR_GUARD = 4096 };

typedef struct {
    linear_case c;
    int64_t out, rank, fold, room;        // sums; rows rounded up to FT_ROW_ALIGN
    bool any_bias;
    ft_linear_group group;                // on the device
    float *weight;                        // [out, in]: what the codes mean
    float *row_scale;                     // [out]: kind ROW, else ones
    float *a[FT_LINEAR_PARTS], *b[FT_LINEAR_PARTS], *bias[FT_LINEAR_PARTS], *da[FT_LINEAR_PARTS], *db[FT_LINEAR_PARTS];
    float *x, *dy, *residual;             // [rows, in], [rows, out], [rows, out]
    void *owned[LINEAR_BLOCKS];
    int n_owned;
    char text[240];
} linear_test;

static inline void *linear_host(linear_test *t, int64_t bytes)
{
    assert_true(t->n_owned < LINEAR_BLOCKS);
    return t->owned[t->n_owned++] = calloc((size_t)(bytes > 0 ? bytes : 1), 1);
}

static inline void linear_must(ft_status status, const char *text)
{
    if (status != FT_OK) fail_msg("%s: %s", text, ft_error_message());
}

// --- Quantization on the host, as kernels/cuda/quantize.h has it -------------------------------------------------------------
static inline float linear_scale(float amax)
{
    return amax > 0 ? fmaxf(amax / FT_E4M3_MAX, 0x1p-126f) : 1;
}

// Blocks of `width` along the rows of [rows, cols] times factor[col]: what the codes mean, the codes, the scales
// [cols / width][stride].
static inline void linear_quantize(float *meant, uint8_t *codes, float *scales, int64_t stride, const float *values, const float *factor,
                                   int64_t rows, int64_t cols, int64_t width)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t first = 0; first < cols; first += width) {
            float amax = 0;
            for (int64_t l = first; l < cols && l < first + width; l++) amax = fmaxf(amax, fabsf(values[i * cols + l] * factor[l]));
            float scale = linear_scale(amax);
            if (scales != NULL) scales[first / width * stride + i] = scale;
            for (int64_t l = first; l < cols && l < first + width; l++) {
                ft_e4m3 code = ft_f32_to_e4m3(values[i * cols + l] * factor[l] / scale);
                if (codes != NULL) codes[i * cols + l] = code;
                meant[i * cols + l] = ft_e4m3_to_f32(code) * scale;
            }
        }
    }
}

static inline float *linear_ones(linear_test *t, int64_t n)
{
    float *ones = linear_host(t, n * 4);
    for (int64_t i = 0; i < n; i++) ones[i] = 1;
    return ones;
}

// Codes and scales of a part's weight, and the weight itself becomes what they mean.
static inline void linear_encode(linear_test *t, float *weight, float *row_scale, int64_t out, uint8_t *codes, float *scales,
                                 float *scales_t)
{
    int64_t in = t->c.in, stride = ft_scale_stride(in), stride_t = ft_scale_stride(out);
    double error = 0, norm = 0;
    float amax = 0;
    for (int64_t i = 0; i < out * in; i++) amax = fmaxf(amax, fabsf(weight[i]));
    if (t->c.kind == FT_SCALE_TILE) {
        assert_int_equal(ft_quantize_tile(codes, scales, weight, 0, out, in, &error, &norm), FT_OK);
        ft_scale_transpose(scales_t, scales, out, in);
    }
    for (int64_t i = 0; i < out && t->c.kind == FT_SCALE_ROW; i++) {
        float most = 0;
        for (int64_t l = 0; l < in; l++) most = fmaxf(most, fabsf(weight[i * in + l]));
        scales[i] = row_scale[i] = linear_scale(most);
    }
    for (int64_t i = 0; i < out / FT_TILE * stride && t->c.kind == FT_SCALE_TENSOR; i++) scales[i] = linear_scale(amax);
    for (int64_t i = 0; i < in / FT_TILE * stride_t && t->c.kind != FT_SCALE_TILE; i++)
        scales_t[i] = t->c.kind == FT_SCALE_ROW ? 1 : linear_scale(amax);
    for (int64_t i = 0; i < out; i++) {
        for (int64_t l = 0; l < in; l++) {
            float scale = t->c.kind == FT_SCALE_ROW ? scales[i] : scales[t->c.kind == FT_SCALE_TENSOR ? 0 : i / FT_TILE * stride + l / FT_TILE];
            if (t->c.kind != FT_SCALE_TILE) codes[i * in + l] = ft_f32_to_e4m3(weight[i * in + l] / scale);
            weight[i * in + l] = ft_e4m3_to_f32(codes[i * in + l]) * scale;
        }
    }
}

// --- The group on the device -------------------------------------------------------------------------------------------------
static inline ft_weight linear_upload_e4m3(linear_test *t, float *weight, float *row_scale, int64_t out)
{
    int64_t in = t->c.in, n = (int64_t)ft_scale_count(FT_SCALE_TILE, out, in), n_t = (int64_t)ft_scale_count(FT_SCALE_TILE, in, out);
    if (t->c.kind == FT_SCALE_ROW) n = out;
    uint8_t *codes = linear_host(t, out * in), *transposed = linear_host(t, out * in);
    float *scales = linear_ones(t, n), *scales_t = linear_ones(t, n_t);
    linear_encode(t, weight, row_scale, out, codes, scales, scales_t);
    for (int64_t i = 0; i < out; i++) {
        for (int64_t l = 0; l < in; l++) transposed[l * out + i] = codes[i * in + l];
    }
    return (ft_weight){.data = t_upload(codes, out * in), .data_t = t_upload(transposed, out * in), .scales = t_upload(scales, n * 4),
                       .scales_t = t_upload(scales_t, n_t * 4), .repr = FT_REPR_E4M3, .kind = t->c.kind, .rows = out, .cols = in, .ld = in};
}

// [rows, cols] with leading dimension ld and room for `room` rows; NaN where nothing lies.
static inline ft_bf16 *linear_upload(const float *values, int64_t rows, int64_t cols, int64_t ld, int64_t room)
{
    ft_bf16 *image = malloc((size_t)(room * ld) * 2);
    memset(image, 0xFF, (size_t)(room * ld) * 2);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t l = 0; l < cols; l++) image[i * ld + l] = ft_f32_to_bf16(values[i * cols + l]);
    }
    ft_bf16 *device = t_upload(image, room * ld * 2);
    free(image);
    return device;
}

static inline void linear_upload_weights(linear_test *t)
{
    ft_linear_group *g = &t->group;
    int64_t in = t->c.in;
    if (t->c.kind == FT_SCALE_NONE) {
        int64_t ld = in + t->fold;
        ft_bf16 *data = linear_upload(t->weight, t->out, in, ld, t->out + t->fold);
        g->n_weights = 1;
        g->weight[0] = (ft_weight){.data = data, .repr = FT_REPR_BF16, .rows = t->out, .cols = in, .ld = ld};
        g->fold_b = data + in;
        g->fold_a = data + t->out * ld;
        g->fold_a_ld = g->fold_b_ld = ld;
        return;
    }
    g->n_weights = g->n_parts;
    for (int64_t p = 0, first = 0; p < g->n_parts; first += g->out[p], p++)
        g->weight[p] = linear_upload_e4m3(t, t->weight + first * in, t->row_scale + first, g->out[p]);
    if (t->fold == 0) return;
    g->fold_a = t_device(t->fold * in * 2);
    g->fold_b = t_device(t->out * t->fold * 2);
    g->fold_a_ld = in;
    g->fold_b_ld = t->fold;
}

static inline void linear_make_adapters(linear_test *t)
{
    for (int p = 0; p < t->c.n_parts; p++) {
        int64_t r = t->c.r[p], out = t->c.out[p];
        ft_lora *lora = &t->group.lora[p];
        if (t->c.bias[p]) {
            t->bias[p] = t_random(out, 1, 20 + (uint64_t)p);
            t->group.bias[p] = t_upload(t->bias[p], out * 4);
        }
        if (r == 0) continue;
        t->a[p] = t_random(r * t->c.in, 1 / sqrtf((float)t->c.in), 30 + (uint64_t)p);
        t->b[p] = t_random(out * r, 0.5f, 40 + (uint64_t)p);
        t->da[p] = t_random(r * t->c.in, 1, 50 + (uint64_t)p);
        t->db[p] = t_random(out * r, 1, 60 + (uint64_t)p);
        *lora = (ft_lora){.a = t_upload(t->a[p], r * t->c.in * 4), .b = t_upload(t->b[p], out * r * 4), .r = r, .scale = p == 1 ? 0.5f : 2};
    }
}

// Random values times 1, 2 or 4, a factor for each block of `grain` rows and 128 columns.
static inline float *linear_values(int64_t rows, int64_t cols, int64_t grain, float scale, uint64_t seed)
{
    float *values = t_random(rows * cols, scale, seed);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t l = 0; l < cols; l++) values[i * cols + l] *= (float)(1 << (i / grain + l / FT_TILE) % 3);
    }
    return values;
}

static inline void linear_describe(linear_test *t)
{
    static const char *const kinds[] = {"bf16", "tensor", "row", "tile"};
    const linear_case *c = &t->c;
    snprintf(t->text, sizeof t->text, "%s rows %lld in %lld out %lld,%lld,%lld r %lld,%lld,%lld%s%s%s%s", kinds[c->kind],
             (long long)c->rows, (long long)c->in, (long long)c->out[0], (long long)c->out[1], (long long)c->out[2], (long long)c->r[0],
             (long long)c->r[1], (long long)c->r[2], t->any_bias ? " bias" : "",
             c->residual == NO_RESIDUAL ? "" : c->residual == RESIDUAL ? " residual" : " residual=y", c->dropout > 0 ? " dropout" : "",
             c->twins ? " twins" : "");
}

static inline void linear_test_init(linear_test *t, const linear_case *c)
{
    *t = (linear_test){.c = *c, .room = (c->rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN};
    t->group.n_parts = c->n_parts;
    t->group.dropout = (ft_dropout){.p = c->dropout, .seed = 0x123456789abcdefu, .step = 3, .layer = 2, .group = 1, .token_base = 1000};
    for (int p = 0; p < c->n_parts; p++) {
        t->group.out[p] = c->out[p];
        t->out += c->out[p];
        t->rank += c->r[p];
        t->any_bias |= c->bias[p];
    }
    t->fold = t->group.fold = t->rank + t->any_bias > 0 ? FT_FOLD(t->rank + t->any_bias) : 0;
    linear_describe(t);
    t->weight = linear_values(t->out, c->in, FT_TILE, 1 / sqrtf((float)c->in), 1);
    t->row_scale = linear_ones(t, t->out);
    t->x = linear_values(c->rows, c->in, 1, 1, 2);
    t->dy = linear_values(c->rows, t->out, 1, 1, 3);
    t->residual = t_random(c->rows * t->out, 2, 4);
    linear_make_adapters(t);
    linear_upload_weights(t);
    linear_must(t_ops()->lora_prepare(t_queue(), &t->group), "lora_prepare");
}

static inline void linear_test_free(linear_test *t)
{
    while (t->n_owned > 0) free(t->owned[--t->n_owned]);
    t_free();
}

// A view [rows, cols] of values, with its twin where the case has twins.
static inline ft_view linear_view(linear_test *t, const float *values, int64_t cols, int64_t ld)
{
    int64_t rows = t->c.rows, blocks = (cols + FT_TILE - 1) / FT_TILE;
    ft_view view = {.data = linear_upload(values, rows, cols, ld, t->room), .repr = FT_REPR_BF16, .rows = rows, .cols = cols, .ld = ld};
    if (!t->c.twins) return view;
    uint8_t *codes = linear_host(t, t->room * cols);
    float *scales = linear_host(t, blocks * t->room * 4), *meant = linear_host(t, rows * cols * 4);
    memset(codes, 0xFF, (size_t)(t->room * cols));
    memset(scales, 0xFF, (size_t)(blocks * t->room) * 4);
    linear_quantize(meant, codes, scales, t->room, values, linear_ones(t, cols), rows, cols, FT_TILE);
    view.codes = t_upload(codes, t->room * cols);
    view.scales = t_upload(scales, blocks * t->room * 4);
    return view;
}

// --- The reference -----------------------------------------------------------------------------------------------------------
static inline double linear_kept(const linear_test *t, int64_t token, int64_t feature)
{
    const ft_dropout *d = &t->group.dropout;
    if (d->p <= 0) return 1;
    ft_rng_block block = ft_rng(d->seed, FT_RNG_DROPOUT, d->step, d->layer << 8 | d->group, d->token_base + (uint32_t)token, (uint32_t)(feature / 4));
    return ft_rng_uniform(block.word[feature % 4]) >= d->p ? 1 / (1 - (double)d->p) : 0;
}

// dropout(x) A^T of all parts side by side, [rows, rank].
static inline double *linear_low_rank(linear_test *t, const double *dropped)
{
    double *s = linear_host(t, t->c.rows * t->rank * 8);
    for (int64_t p = 0, first = 0; p < t->c.n_parts; first += t->c.r[p], p++) {
        for (int64_t i = 0; i < t->c.rows; i++) {
            for (int64_t j = 0; j < t->c.r[p]; j++) {
                double sum = 0;
                for (int64_t l = 0; l < t->c.in; l++) sum += dropped[i * t->c.in + l] * t->a[p][j * t->c.in + l];
                s[i * t->rank + first + j] = sum;
            }
        }
    }
    return s;
}

static inline double *linear_dropped(linear_test *t)
{
    double *dropped = linear_host(t, t->c.rows * t->c.in * 8);
    for (int64_t i = 0; i < t->c.rows; i++) {
        for (int64_t l = 0; l < t->c.in; l++) dropped[i * t->c.in + l] = t->x[i * t->c.in + l] * linear_kept(t, i, l);
    }
    return dropped;
}

// scale dy B, [rows, rank].
static inline double *linear_d_low_rank(linear_test *t)
{
    double *ds = linear_host(t, t->c.rows * t->rank * 8);
    for (int64_t p = 0, first = 0, column = 0; p < t->c.n_parts; first += t->c.r[p], column += t->c.out[p], p++) {
        for (int64_t i = 0; i < t->c.rows; i++) {
            for (int64_t n = 0; n < t->c.out[p]; n++) {
                double dy = t->dy[i * t->out + column + n] * (double)t->group.lora[p].scale;
                for (int64_t j = 0; j < t->c.r[p]; j++) ds[i * t->rank + first + j] += dy * t->b[p][n * t->c.r[p] + j];
            }
        }
    }
    return ds;
}

// x as the wide product reads it.
static inline const float *linear_read_x(linear_test *t)
{
    if (t->c.kind == FT_SCALE_NONE) return t->x;
    float *meant = linear_host(t, t->c.rows * t->c.in * 4);
    int64_t width = t->c.kind == FT_SCALE_ROW ? t->c.in : FT_TILE;
    linear_quantize(meant, NULL, NULL, 0, t->x, linear_ones(t, t->c.in), t->c.rows, t->c.in, width);
    return meant;
}

static inline const float *linear_read_dy(linear_test *t)
{
    if (t->c.kind == FT_SCALE_NONE) return t->dy;
    float *meant = linear_host(t, t->c.rows * t->out * 4);
    linear_quantize(meant, NULL, NULL, 0, t->dy, t->row_scale, t->c.rows, t->out, FT_TILE);
    for (int64_t i = 0; i < t->c.rows * t->out; i++) meant[i] /= t->row_scale[i % t->out];
    return meant;
}

static inline double *linear_want_y(linear_test *t, const double *s)
{
    const float *x = linear_read_x(t);
    double *want = linear_host(t, t->c.rows * t->out * 8);
    for (int64_t p = 0, first = 0, column = 0; p < t->c.n_parts; first += t->c.r[p], column += t->c.out[p], p++) {
        for (int64_t i = 0; i < t->c.rows; i++) {
            for (int64_t n = 0; n < t->c.out[p]; n++) {
                const float *w = t->weight + (column + n) * t->c.in;
                int64_t at = i * t->out + column + n;
                double sum = (t->bias[p] != NULL ? t->bias[p][n] : 0) + (t->c.residual == NO_RESIDUAL ? 0 : t->residual[at]), lora = 0;
                for (int64_t l = 0; l < t->c.in; l++) sum += (double)x[i * t->c.in + l] * w[l];
                for (int64_t j = 0; j < t->c.r[p]; j++) lora += s[i * t->rank + first + j] * t->b[p][n * t->c.r[p] + j];
                want[at] = sum + lora * (double)t->group.lora[p].scale;
            }
        }
    }
    return want;
}

static inline double *linear_want_dx(linear_test *t, const double *ds)
{
    const float *dy = linear_read_dy(t);
    double *want = linear_host(t, t->c.rows * t->c.in * 8), *lora = linear_host(t, t->c.in * 8);
    for (int64_t i = 0; i < t->c.rows; i++) {
        memset(lora, 0, (size_t)t->c.in * 8);
        for (int64_t n = 0; n < t->out; n++) {
            for (int64_t l = 0; l < t->c.in; l++) want[i * t->c.in + l] += (double)dy[i * t->out + n] * t->weight[n * t->c.in + l];
        }
        for (int64_t p = 0, first = 0; p < t->c.n_parts; first += t->c.r[p], p++) {
            for (int64_t j = 0; j < t->c.r[p]; j++) {
                for (int64_t l = 0; l < t->c.in; l++) lora[l] += ds[i * t->rank + first + j] * t->a[p][j * t->c.in + l];
            }
        }
        for (int64_t l = 0; l < t->c.in; l++) want[i * t->c.in + l] += lora[l] * linear_kept(t, i, l);
    }
    return want;
}

// begin + scale times the sum over tokens of left[i, row] right[i, col]: dB of a part (left dy, right S) and dA (left dS, right x).
static inline double *linear_want_gradient(linear_test *t, const float *begin, double scale, const double *left, int64_t n_left,
                                           int64_t left_ld, const double *right, int64_t n_right, int64_t right_ld)
{
    double *want = linear_host(t, n_left * n_right * 8);
    for (int64_t i = 0; i < t->c.rows; i++) {
        for (int64_t a = 0; a < n_left; a++) {
            for (int64_t b = 0; b < n_right; b++) want[a * n_right + b] += scale * left[i * left_ld + a] * right[i * right_ld + b];
        }
    }
    for (int64_t i = 0; i < n_left * n_right; i++) want[i] += begin[i];
    return want;
}

#endif
