// Views for the tests of the memory-bound ops: made with poison around, read back with the poison checked, twins checked
// against common/codec.h, and results held to little more than the rounding of their own reference.
#ifndef TESTS_GPU_VIEW_TEST_H
#define TESTS_GPU_VIEW_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"

enum { T_POISON = 0xFFFF };

static inline int64_t t_room(int64_t rows) { return (rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN; }

// rows x cols of values (dense; NULL: nothing written yet) in memory of poison.
static inline ft_view t_view(int64_t rows, int64_t cols, int64_t ld, const float *values)
{
    int64_t n = t_room(rows) * ld;
    ft_bf16 *host = malloc((size_t)n * sizeof *host);
    memset(host, 0xFF, (size_t)n * sizeof *host);
    for (int64_t i = 0; values != NULL && i < rows * cols; i++) host[i / cols * ld + i % cols] = ft_f32_to_bf16(values[i]);
    ft_view view = {.data = t_upload(host, n * 2), .repr = FT_REPR_BF16, .rows = rows, .cols = cols, .ld = ld};
    free(host);
    return view;
}

static inline ft_view t_with_twin(ft_view view)
{
    view.codes = t_device(t_room(view.rows) * view.cols);
    view.scales = t_device((view.cols + 127) / 128 * t_room(view.rows) * 4);
    return view;
}

static inline ft_bf16 *t_view_bits(const char *what, ft_view view)
{
    ft_bf16 *all = malloc((size_t)(view.rows * view.ld) * 2), *bits = malloc((size_t)(view.rows * view.cols) * 2);
    t_download(all, view.data, view.rows * view.ld * 2);
    for (int64_t r = 0; r < view.rows; r++) {
        memcpy(bits + r * view.cols, all + r * view.ld, (size_t)view.cols * 2);
        for (int64_t c = view.cols; c < view.ld; c++) {
            if (all[r * view.ld + c] != T_POISON) {
                fail_msg("%s [%lld, %lld] ld %lld: wrote beyond the columns at row %lld, column %lld: 0x%04x", what,
                         (long long)view.rows, (long long)view.cols, (long long)view.ld, (long long)r, (long long)c,
                         all[r * view.ld + c]);
            }
        }
    }
    free(all);
    return bits;
}

// Dense values; the caller frees.
static inline float *t_view_read(const char *what, ft_view view)
{
    ft_bf16 *bits = t_view_bits(what, view);
    float *values = malloc((size_t)(view.rows * view.cols) * 4);
    for (int64_t i = 0; i < view.rows * view.cols; i++) values[i] = ft_bf16_to_f32(bits[i]);
    free(bits);
    return values;
}

static inline void t_same_bits(const char *what, ft_view a, ft_view b)
{
    ft_bf16 *x = t_view_bits(what, a), *y = t_view_bits(what, b);
    for (int64_t i = 0; i < a.rows * a.cols; i++) {
        if (x[i] != y[i]) {
            fail_msg("%s [%lld, %lld]: bits differ first at row %lld, column %lld: 0x%04x and 0x%04x", what, (long long)a.rows,
                     (long long)a.cols, (long long)(i / a.cols), (long long)(i % a.cols), x[i], y[i]);
        }
    }
    free(x);
    free(y);
}

// got against a float64 reference: at most a tenth more than what rounding the reference to bf16 costs (float32 sums and
// functions disappear in that), and never more than `bound`.
static inline void t_check_rounded(const char *what, const float *got, const double *want, int64_t n, double bound)
{
    float *rounded = malloc((size_t)n * sizeof *rounded);
    for (int64_t i = 0; i < n; i++) rounded[i] = ft_bf16_to_f32(ft_f32_to_bf16((float)want[i]));
    double tolerance = 1.1 * t_error(rounded, want, n) + 1e-5;
    free(rounded);
    t_check(what, got, want, n, tolerance < bound ? tolerance : bound);
}

static inline float t_scale_of(float amax)
{
    return amax == 0 ? 1 : fmaxf(amax / FT_E4M3_MAX, 0x1p-126f);
}

// A zero's sign is free.
static inline void t_check_code(const char *what, uint8_t got, float value, float scale, int64_t row, int64_t col)
{
    uint8_t want = ft_f32_to_e4m3(value / scale);
    if (got == want || ((got | want) & 0x7F) == 0) return;
    fail_msg("%s: code of row %lld, column %lld is 0x%02x, want 0x%02x (value %.9g, scale %.9g)", what, (long long)row,
             (long long)col, got, want, (double)value, (double)scale);
}

// codes [rows, cols] and 1x128 scales of dense float32 values.
static inline void t_check_blocks(const char *what, const uint8_t *device_codes, const float *device_scales, const float *values,
                                  int64_t rows, int64_t cols)
{
    int64_t blocks = (cols + 127) / 128, stride = t_room(rows);
    uint8_t *codes = malloc((size_t)(rows * cols));
    float *scales = malloc((size_t)(blocks * stride) * 4);
    t_download(codes, device_codes, rows * cols);
    t_download(scales, device_scales, blocks * stride * 4);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t b = 0; b < blocks; b++) {
            float amax = 0;
            int64_t end = (b + 1) * 128 < cols ? (b + 1) * 128 : cols;
            for (int64_t c = b * 128; c < end; c++) amax = fmaxf(amax, fabsf(values[r * cols + c]));
            float scale = scales[b * stride + r];
            if (scale != t_scale_of(amax)) {
                fail_msg("%s: scale of row %lld, block %lld is %.9g, want %.9g (amax %.9g)", what, (long long)r, (long long)b,
                         (double)scale, (double)t_scale_of(amax), (double)amax);
            }
            for (int64_t c = b * 128; c < end; c++) t_check_code(what, codes[r * cols + c], values[r * cols + c], scale, r, c);
        }
    }
    free(codes);
    free(scales);
}

// The twin is that of the rounded values the view holds.
static inline void t_check_twin(const char *what, ft_view view)
{
    float *values = t_view_read(what, view);
    t_check_blocks(what, view.codes, view.scales, values, view.rows, view.cols);
    free(values);
}

#define T_OK(call) do { if ((call) != FT_OK) fail_msg("%s: %s", #call, ft_error_message()); } while (0)

// "what [rows, cols] ld" in a buffer of the program: valid until the next call.
static inline const char *t_name(const char *what, int64_t rows, int64_t cols, int64_t ld)
{
    static char text[160];
    snprintf(text, sizeof text, "%s [%lld, %lld] ld %lld", what, (long long)rows, (long long)cols, (long long)ld);
    return text;
}

#endif
