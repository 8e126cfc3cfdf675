// The skinny products of LoRA (kernels/cuda/lora.h) against float64 sums of the bf16 values they read: every group shape, ranks
// that are and are not multiples of 8, dropout, poisoned surroundings, accumulation, and the same bits twice.
#include "gpu/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/lora.h"
#include "kernels/cuda/lora_plan.h"

// bf16 outputs are float32 sums rounded once (unit roundoff 2^-9); gradients stay float32.
static const double tolerance_bf16 = 3e-3, tolerance_f32 = 1e-5;

enum { PAD = 8 };  // columns behind each tail that nobody may touch

typedef struct {
    int n_parts;
    int64_t in, out[FT_LINEAR_PARTS], r[FT_LINEAR_PARTS];
    int bias;                 // bit p: part p has one
    int64_t rows;
    float p;
} lora_case;

static const lora_case cases[] = {
    {1, 576, {576}, {16}, 0, 333, 0},
    {1, 576, {1536}, {48}, 0, 64, 0.1f},
    {1, 1536, {576}, {64}, 0, 333, 0.1f},
    {1, 1536, {128}, {128}, 1, 64, 0},
    {1, 72, {72}, {8}, 0, 1, 0},
    {1, 64, {64}, {1}, 0, 17, 0.1f},
    {1, 128, {1536}, {70}, 0, 100, 0.1f},
    {1, 128, {128}, {0}, 1, 5, 0},
    {2, 576, {1536, 1536}, {16, 16}, 0, 1024, 0},
    {2, 576, {1536, 72}, {24, 8}, 3, 5, 0.1f},
    {2, 72, {72, 576}, {4, 5}, 0, 64, 0},
    {2, 576, {576, 576}, {30, 33}, 2, 333, 0.1f},
    {2, 128, {72, 128}, {32, 32}, 3, 64, 0},
    {3, 576, {576, 192, 192}, {16, 16, 16}, 0, 1024, 0.1f},
    {3, 1536, {1536, 128, 128}, {16, 16, 16}, 7, 333, 0},
    {3, 128, {128, 72, 72}, {4, 0, 4}, 5, 1, 0.1f},
    {3, 72, {128, 72, 1536}, {8, 24, 64}, 0, 64, 0.1f},
    {3, 128, {576, 128, 128}, {128, 128, 128}, 7, 64, 0.1f},
    {3, 72, {4608, 8, 8}, {64, 0, 0}, 0, 1400, 0},  // unlike ranks: rows are taken in chunks
};

typedef struct {
    lora_case c;
    ft_linear_group group;
    int64_t out, rank, first[FT_LINEAR_PARTS], low[FT_LINEAR_PARTS];
    float *a[FT_LINEAR_PARTS], *b[FT_LINEAR_PARTS], *da0[FT_LINEAR_PARTS], *db0[FT_LINEAR_PARTS], *bias[FT_LINEAR_PARTS];
    float *x, *dy, *factor;   // host: [rows, in], [rows, out], dropout's factors [rows, in]
    float *fold_a, *fold_b;   // host, expected
    void *frame;              // device [out + fold, in + fold]: fold_b right of the weight, fold_a below
    void *workspace;
    int64_t workspace_bytes;
    char text[160];
} fixture;

static void must(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static void check(const fixture *f, const char *what, const float *got, const double *want, int64_t n, double tolerance)
{
    char text[256];
    snprintf(text, sizeof text, "%s: %s", what, f->text);
    t_check(text, got, want, n, tolerance);
}

static float rounded(float value) { return ft_bf16_to_f32(ft_f32_to_bf16(value)); }
static double *zeros(int64_t n) { return memset(t_random(2 * n, 1, 0), 0, (size_t)n * sizeof(double)); }

// Values that are not bf16 numbers.
static float *masters(int64_t n, uint64_t seed)
{
    float *values = t_random(n > 0 ? n : 1, 0.3f, seed);
    for (int64_t i = 0; i < n; i++) values[i] *= 1.1f;
    return values;
}

static void make_part(fixture *f, int p)
{
    ft_linear_group *g = &f->group;
    int64_t r = f->c.r[p], n_a = r * f->c.in, n_b = r * f->c.out[p];
    f->first[p] = f->out, f->low[p] = f->rank;
    f->out += g->out[p] = f->c.out[p];
    f->rank += r;
    if (f->c.bias >> p & 1) g->bias[p] = t_upload(f->bias[p] = masters(f->c.out[p], 50 + (uint64_t)p), f->c.out[p] * 4);
    if (r == 0) return;
    f->a[p] = masters(n_a, 10 + (uint64_t)p), f->b[p] = masters(n_b, 20 + (uint64_t)p);
    f->da0[p] = masters(n_a, 30 + (uint64_t)p), f->db0[p] = masters(n_b, 40 + (uint64_t)p);
    g->lora[p] = (ft_lora){t_upload(f->a[p], n_a * 4), t_upload(f->b[p], n_b * 4), t_upload(f->da0[p], n_a * 4),
                           t_upload(f->db0[p], n_b * 4), r, 1.7f + (float)p};
}

static void make_factors(fixture *f)
{
    const ft_dropout *d = &f->group.dropout;
    f->factor = t_random(f->c.rows * f->c.in, 1, 0);
    for (int64_t i = 0; i < f->c.rows * f->c.in; i++) {
        int64_t row = i / f->c.in, feature = i % f->c.in;
        f->factor[i] = 1;
        if (d->p <= 0) continue;
        ft_rng_block words = ft_rng(d->seed, FT_RNG_DROPOUT, d->step, d->layer << 8 | d->group, d->token_base + (uint32_t)row,
                                    (uint32_t)(feature / 4));
        f->factor[i] = ft_rng_uniform(words.word[feature % 4]) >= d->p ? 1.0f / (1.0f - d->p) : 0.0f;
    }
}

static void make_folds(fixture *f)
{
    int64_t fold = f->group.fold, in = f->c.in;
    f->fold_a = memset(t_random(fold * in, 1, 0), 0, (size_t)(fold * in) * 4);
    f->fold_b = memset(t_random(f->out * fold, 1, 0), 0, (size_t)(f->out * fold) * 4);
    for (int p = 0; p < f->c.n_parts; p++) {
        int64_t r = f->c.r[p];
        for (int64_t i = 0; i < r * in; i++) f->fold_a[f->low[p] * in + i] = rounded(f->a[p][i]);
        for (int64_t o = 0; o < f->c.out[p]; o++) {
            float *row = f->fold_b + (f->first[p] + o) * fold;
            for (int64_t j = 0; j < r; j++) row[f->low[p] + j] = rounded(f->group.lora[p].scale * f->b[p][o * r + j]);
            if (f->bias[p] != NULL) row[f->rank] = rounded(f->bias[p][o]);
        }
    }
}

static void make(fixture *f, const lora_case *c)
{
    *f = (fixture){.c = *c, .group = {.n_parts = c->n_parts, .n_weights = 1}};
    ft_linear_group *g = &f->group;
    for (int p = 0; p < c->n_parts; p++) make_part(f, p);
    g->fold = FT_FOLD(f->rank + (c->bias != 0));
    int64_t ld = c->in + g->fold;
    f->frame = t_device((f->out + g->fold) * ld * 2);
    g->weight[0] = (ft_weight){.data = f->frame, .repr = FT_REPR_BF16, .rows = f->out, .cols = c->in, .ld = ld};
    g->fold_b = (ft_bf16 *)f->frame + c->in, g->fold_a = (ft_bf16 *)f->frame + f->out * ld;
    g->fold_a_ld = g->fold_b_ld = ld;
    g->dropout = (ft_dropout){c->p, 0x1234567890ABull, 7, 3, 2, 1000};
    f->x = t_random(c->rows * c->in, 1, 1), f->dy = t_random(c->rows * f->out, 1, 2);
    make_factors(f);
    make_folds(f);
    ft_op_shape shape = {.rows = c->rows, .in = c->in, .out = f->out, .rank = f->rank, .parts = c->n_parts, .dropout = c->p > 0};
    f->workspace_bytes = ft_cuda_lora_workspace(&shape);
    f->workspace = t_device(f->workspace_bytes > 0 ? f->workspace_bytes : 256);
    int n = snprintf(f->text, sizeof f->text, "rows %lld in %lld p %.1f", (long long)c->rows, (long long)c->in, (double)c->p);
    for (int p = 0; p < c->n_parts; p++)
        n += snprintf(f->text + n, sizeof f->text - (size_t)n, ", out %lld r %lld", (long long)c->out[p], (long long)c->r[p]);
    printf("%s, bias %d, workspace %lld\n", f->text, c->bias, (long long)f->workspace_bytes);
}

// --- Views with a tail and PAD columns and one row that stay poisoned ------------------------------------------------------------

static ft_view view_with_tail(const fixture *f, const float *values, int64_t cols)
{
    int64_t rows = f->c.rows, ld = cols + f->group.fold + PAD, bytes = (rows + 1) * ld * 2;
    ft_bf16 *image = memset(malloc((size_t)bytes), 0xFF, (size_t)bytes);
    for (int64_t i = 0; i < rows * cols; i++) image[i / cols * ld + i % cols] = ft_f32_to_bf16(values[i]);
    ft_view view = {.data = t_upload(image, bytes), .repr = FT_REPR_BF16, .rows = rows, .cols = cols, .ld = ld};
    free(image);
    return view;
}

static ft_view tail_of(const fixture *f, ft_view view)
{
    return (ft_view){(ft_bf16 *)view.data + view.cols, NULL, NULL, FT_REPR_BF16, view.rows, f->group.fold, view.ld};
}

static float *download(ft_view view)
{
    float *all = t_download_bf16(view.data, view.rows * view.ld), *values = t_random(view.rows * view.cols, 1, 0);
    for (int64_t i = 0; i < view.rows; i++) memcpy(values + i * view.cols, all + i * view.ld, (size_t)view.cols * 4);
    return values;
}

// The view's own columns hold `values` still, where given, and what lies behind its tail is as it was.
static void check_surroundings(const fixture *f, const char *what, ft_view view, const float *values)
{
    int64_t n = (view.rows + 1) * view.ld;
    ft_bf16 *image = malloc((size_t)n * 2);
    t_download(image, view.data, n * 2);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = i / view.ld, col = i % view.ld;
        bool inside = row < view.rows && col < view.cols + f->group.fold;
        if (!inside && image[i] != 0xFFFF) fail_msg("%s wrote [%lld, %lld] outside its view: %s", what, (long long)row, (long long)col, f->text);
        if (values != NULL && row < view.rows && col < view.cols && image[i] != ft_f32_to_bf16(values[row * view.cols + col]))
            fail_msg("%s changed its input at [%lld, %lld]: %s", what, (long long)row, (long long)col, f->text);
    }
    free(image);
}

// Columns of [rows, fold] from `column` on hold exactly `value`.
static void check_columns(const fixture *f, const char *what, const float *got, int64_t column, int64_t count, float value)
{
    for (int64_t row = 0; row < f->c.rows; row++) {
        for (int64_t j = column; j < column + count; j++) {
            float v = got[row * f->group.fold + j];
            if (v != value) fail_msg("%s [%lld, %lld] is %g, not %g: %s", what, (long long)row, (long long)j, (double)v, (double)value, f->text);
        }
    }
}

// c[m, n] += a[m, k] b[k, n] with strides, rows of b contiguous.
static void multiply(double *c, int64_t c_ld, const float *a, int64_t a_row, int64_t a_col, const float *b, int64_t b_ld, int64_t m,
                     int64_t n, int64_t k, double scale)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t l = 0; l < k; l++) {
            double v = scale * (double)a[i * a_row + l * a_col];
            for (int64_t j = 0; v != 0 && j < n; j++) c[i * c_ld + j] += v * (double)b[l * b_ld + j];
        }
    }
}

// --- The functions ----------------------------------------------------------------------------------------------------------------

static void check_prepare(fixture *f)
{
    int64_t fold = f->group.fold, in = f->c.in, ld = in + fold, n = (f->out + fold) * ld;
    must(ft_cuda_lora_prepare(t_queue(), &f->group));
    ft_bf16 *frame = malloc((size_t)n * 2);
    t_download(frame, f->frame, n * 2);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = i / ld, col = i % ld;
        ft_bf16 want = 0xFFFF;
        if (row >= f->out && col < in) want = ft_f32_to_bf16(f->fold_a[(row - f->out) * in + col]);
        if (row < f->out && col >= in) want = ft_f32_to_bf16(f->fold_b[row * fold + col - in]);
        // Minus zero and zero are one value.
        if (frame[i] != want && ((frame[i] | want) & 0x7FFF) != 0)
            fail_msg("prepare: [%lld, %lld] of the frame is %04x, want %04x: %s", (long long)row, (long long)col, frame[i], want, f->text);
    }
    free(frame);
}

// Returns S as the device has it, [rows, fold], on the device with its own leading dimension.
static ft_view check_down(fixture *f)
{
    int64_t fold = f->group.fold, rows = f->c.rows, in = f->c.in;
    ft_view x = view_with_tail(f, f->x, in), other = view_with_tail(f, f->x, in);
    ft_view s = {.data = t_device((rows + 1) * (fold + PAD) * 2), .repr = FT_REPR_BF16, .rows = rows, .cols = fold, .ld = fold + PAD};
    must(ft_cuda_lora_down(t_queue(), &f->group, x, s, f->workspace, f->workspace_bytes));
    must(ft_cuda_lora_down(t_queue(), &f->group, other, (ft_view){0}, f->workspace, f->workspace_bytes));
    float *got = download(s);
    assert_memory_equal(got, download(tail_of(f, x)), (size_t)(rows * fold) * 4);
    assert_memory_equal(got, download(tail_of(f, other)), (size_t)(rows * fold) * 4);
    check_surroundings(f, "down", x, f->x);
    int64_t used = f->rank + (f->c.bias != 0);
    check_columns(f, "down", got, used, fold - used, 0);
    if (f->c.bias != 0) check_columns(f, "down, bias column", got, f->rank, 1, 1);
    return s;
}

static void check_down_values(fixture *f, ft_view s)
{
    int64_t fold = f->group.fold, rows = f->c.rows, in = f->c.in;
    double *want = zeros(rows * fold);
    float *dropped = t_random(rows * in, 1, 0), *got = download(s);
    for (int64_t i = 0; i < rows * in; i++) dropped[i] = f->x[i] * f->factor[i];
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < f->rank; j++) {
            for (int64_t l = 0; l < in; l++) want[i * fold + j] += (double)dropped[i * in + l] * (double)f->fold_a[j * in + l];
        }
        if (f->c.bias != 0) want[i * fold + f->rank] = 1;
    }
    check(f, "down", got, want, rows * fold, tolerance_bf16);
}

static void reset(fixture *f)
{
    for (int p = 0; p < f->c.n_parts; p++) {
        const ft_lora *lora = &f->group.lora[p];
        if (lora->r == 0) continue;
        must(ft_copy_h2d(t_queue(), lora->da, f->da0[p], lora->r * f->c.in * 4));
        must(ft_copy_h2d(t_queue(), lora->db, f->db0[p], lora->r * f->c.out[p] * 4));
    }
    t_sync();
}

static float *gradient(const float *device, int64_t n)
{
    float *values = t_random(n, 1, 0);
    t_download(values, device, n * 4);
    return values;
}

static void check_db(fixture *f, const float *s, float *const first_run[FT_LINEAR_PARTS])
{
    for (int p = 0; p < f->c.n_parts; p++) {
        int64_t r = f->c.r[p], out = f->c.out[p];
        if (r == 0) continue;
        double *want = zeros(out * r);
        for (int64_t i = 0; i < out * r; i++) want[i] = (double)f->db0[p][i];
        multiply(want, r, f->dy + f->first[p], 1, f->out, s + f->low[p], f->group.fold, out, r, f->c.rows, (double)f->group.lora[p].scale);
        float *got = gradient(f->group.lora[p].db, out * r);
        check(f, "dB", got, want, out * r, tolerance_f32);
        assert_memory_equal(got, first_run[p], (size_t)(out * r) * 4);
    }
}

// Returns dy with dS in its tail.
static ft_view check_up(fixture *f, ft_view s)
{
    int64_t fold = f->group.fold, rows = f->c.rows;
    float *first_run[FT_LINEAR_PARTS] = {0};
    ft_view dy = view_with_tail(f, f->dy, f->out), other = view_with_tail(f, f->dy, f->out);
    must(ft_cuda_lora_up_backward(t_queue(), &f->group, other, s, tail_of(f, other), f->workspace, f->workspace_bytes));
    for (int p = 0; p < f->c.n_parts; p++) {
        if (f->c.r[p] > 0) first_run[p] = gradient(f->group.lora[p].db, f->c.r[p] * f->c.out[p]);
    }
    reset(f);
    must(ft_cuda_lora_up_backward(t_queue(), &f->group, dy, s, tail_of(f, dy), f->workspace, f->workspace_bytes));
    float *got = download(tail_of(f, dy));
    assert_memory_equal(got, download(tail_of(f, other)), (size_t)(rows * fold) * 4);
    check_surroundings(f, "up_backward", dy, f->dy);
    check_columns(f, "dS", got, f->rank, fold - f->rank, 0);
    double *want = zeros(rows * fold);
    multiply(want, fold, f->dy, f->out, 1, f->fold_b, fold, rows, f->rank, f->out, 1);
    check(f, "dS", got, want, rows * fold, tolerance_bf16);
    check_db(f, download(s), first_run);
    return dy;
}

static void check_a(fixture *f, ft_view dy)
{
    int64_t in = f->c.in, rows = f->c.rows, fold = f->group.fold;
    ft_view x = view_with_tail(f, f->x, in);
    float *ds = download(tail_of(f, dy)), *first_run[FT_LINEAR_PARTS] = {0}, *dropped = t_random(rows * in, 1, 0);
    for (int64_t i = 0; i < rows * in; i++) dropped[i] = f->x[i] * f->factor[i];
    must(ft_cuda_lora_backward_a(t_queue(), &f->group, x, tail_of(f, dy), f->workspace, f->workspace_bytes));
    for (int p = 0; p < f->c.n_parts; p++) {
        if (f->c.r[p] > 0) first_run[p] = gradient(f->group.lora[p].da, f->c.r[p] * in);
    }
    reset(f);
    must(ft_cuda_lora_backward_a(t_queue(), &f->group, x, tail_of(f, dy), f->workspace, f->workspace_bytes));
    for (int p = 0; p < f->c.n_parts; p++) {
        int64_t r = f->c.r[p];
        if (r == 0) continue;
        double *want = zeros(r * in);
        for (int64_t i = 0; i < r * in; i++) want[i] = (double)f->da0[p][i];
        multiply(want, in, ds + f->low[p], 1, fold, dropped, in, r, in, rows, 1);
        float *got = gradient(f->group.lora[p].da, r * in);
        check(f, "dA", got, want, r * in, tolerance_f32);
        assert_memory_equal(got, first_run[p], (size_t)(r * in) * 4);
    }
}

static void check_dx(fixture *f, ft_view dy)
{
    int64_t in = f->c.in, rows = f->c.rows, fold = f->group.fold;
    ft_view dx = view_with_tail(f, f->x, in), other = view_with_tail(f, f->x, in);
    must(ft_cuda_lora_dropout_dx(t_queue(), &f->group, dx, tail_of(f, dy)));
    must(ft_cuda_lora_dropout_dx(t_queue(), &f->group, other, tail_of(f, dy)));
    double *want = zeros(rows * in);
    multiply(want, in, download(tail_of(f, dy)), fold, 1, f->fold_a, in, rows, in, f->rank, 1);
    for (int64_t i = 0; i < rows * in; i++) want[i] = want[i] * (double)f->factor[i] + (double)f->x[i];
    float *got = download(dx);
    check(f, "dx", got, want, rows * in, tolerance_bf16);
    assert_memory_equal(got, download(other), (size_t)(rows * in) * 4);
    check_surroundings(f, "dropout_dx", dx, NULL);
}

static void all_products_match_float64(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        make(&f, &cases[i]);
        check_prepare(&f);
        ft_view s = check_down(&f);
        check_down_values(&f, s);
        ft_view dy = check_up(&f, s);
        check_a(&f, dy);
        check_dx(&f, dy);
        t_free();
    }
}

static void gradients_not_asked_for_are_skipped(void **state)
{
    fixture f;
    make(&f, &(lora_case){2, 128, {128, 576}, {16, 8}, 0, 64, 0});
    must(ft_cuda_lora_prepare(t_queue(), &f.group));
    f.group.lora[0].db = NULL;
    f.group.lora[1].da = NULL;
    ft_view s = check_down(&f), dy = view_with_tail(&f, f.dy, f.out), x = view_with_tail(&f, f.x, f.c.in);
    must(ft_cuda_lora_up_backward(t_queue(), &f.group, dy, s, tail_of(&f, dy), f.workspace, f.workspace_bytes));
    must(ft_cuda_lora_backward_a(t_queue(), &f.group, x, tail_of(&f, dy), f.workspace, f.workspace_bytes));
    float *db = gradient(f.group.lora[1].db, 8 * 576), *da = gradient(f.group.lora[0].da, 16 * 128);
    assert_memory_not_equal(db, f.db0[1], 8 * 576 * 4);
    assert_memory_not_equal(da, f.da0[0], 16 * 128 * 4);
    t_free();
}

// --- Sizes at which a block walks through wide stripes of dy -----------------------------------------------------------------------

typedef struct {
    int n_parts;
    int64_t rows, out[FT_LINEAR_PARTS], r[FT_LINEAR_PARTS];
} long_case;

typedef struct {
    ft_linear_group group;
    ft_view dy, s;
    void *workspace;
    int64_t workspace_bytes;
} long_fixture;

// Random values again and again, in a period that no row has.
static void *repeated(int64_t n)
{
    const int64_t period = 1000003;
    ft_bf16 *block = t_upload_bf16(t_random(period, 1, 3), period), *all = t_device(n * 2);
    for (int64_t i = 0; i < n; i += period) must(ft_copy_d2d(t_queue(), all + i, block, (n - i < period ? n - i : period) * 2));
    return all;
}

static void make_long(long_fixture *f, const long_case *c)
{
    *f = (long_fixture){.group = {.n_parts = c->n_parts}};
    ft_op_shape shape = {.rows = c->rows, .in = 8, .parts = c->n_parts};
    for (int p = 0; p < c->n_parts; p++) {
        shape.out += f->group.out[p] = c->out[p];
        shape.rank += c->r[p];
        f->group.lora[p] = (ft_lora){.r = c->r[p], .scale = 1.7f + (float)p};
    }
    int64_t fold = f->group.fold = FT_FOLD(shape.rank);
    f->group.fold_b = t_upload_bf16(t_random(shape.out * fold, 0.3f, 4), shape.out * fold), f->group.fold_b_ld = fold;
    f->dy = (ft_view){.data = repeated(c->rows * shape.out), .repr = FT_REPR_BF16, .rows = c->rows, .cols = shape.out, .ld = shape.out};
    f->s = (ft_view){.data = t_upload_bf16(t_random(c->rows * fold, 1, 5), c->rows * fold), .repr = FT_REPR_BF16, .rows = c->rows,
                     .cols = fold, .ld = fold};
    f->workspace_bytes = ft_cuda_lora_workspace(&shape);
    f->workspace = t_device(f->workspace_bytes);
}

static ft_view rows_of(ft_view view, int64_t row, int64_t rows)
{
    view.data = (ft_bf16 *)view.data + row * view.ld;
    view.rows = rows;
    return view;
}

// up_backward in slices of `slice` rows; returns dS, and dB of each part in `db`.
static float *sliced(long_fixture *f, int64_t slice, float *db[FT_LINEAR_PARTS])
{
    int64_t rows = f->dy.rows, fold = f->group.fold;
    ft_view ds = {.data = t_device(rows * fold * 2), .repr = FT_REPR_BF16, .rows = rows, .cols = fold, .ld = fold};
    for (int p = 0; p < f->group.n_parts; p++) {
        int64_t bytes = f->group.out[p] * f->group.lora[p].r * 4;
        must(ft_fill(t_queue(), f->group.lora[p].db = t_device(bytes), 0, bytes));
    }
    for (int64_t row = 0; row < rows; row += slice) {
        int64_t count = rows - row < slice ? rows - row : slice;
        must(ft_cuda_lora_up_backward(t_queue(), &f->group, rows_of(f->dy, row, count), rows_of(f->s, row, count), rows_of(ds, row, count),
                                      f->workspace, f->workspace_bytes));
    }
    t_sync();
    for (int p = 0; p < f->group.n_parts; p++) db[p] = gradient(f->group.lora[p].db, f->group.out[p] * f->group.lora[p].r);
    return t_download_bf16(ds.data, rows * fold);
}

static double *doubles(const float *values, int64_t n)
{
    double *copy = zeros(n);
    for (int64_t i = 0; i < n; i++) copy[i] = (double)values[i];
    return copy;
}

static void wide_stripes_give_the_sums_of_narrow_ones(void **state)
{
    static const long_case long_cases[] = {{1, 8333, {8448}, {16}}, {2, 8333, {5000, 3448}, {20, 12}}};
    for (size_t i = 0; i < sizeof long_cases / sizeof *long_cases; i++) {
        long_fixture f;
        float *wide[FT_LINEAR_PARTS], *narrow[FT_LINEAR_PARTS];
        make_long(&f, &long_cases[i]);
        assert_int_equal(ft_lora_up_stripe(f.dy.rows, f.dy.cols, 32), FT_LORA_WIDE_STRIPE);
        assert_int_equal(ft_lora_up_stripe(1024, f.dy.cols, 32), FT_LORA_STRIPE);
        float *ds = sliced(&f, f.dy.rows, wide), *want = sliced(&f, 1024, narrow);
        t_check("dS of wide stripes", ds, doubles(want, f.dy.rows * f.group.fold), f.dy.rows * f.group.fold, tolerance_bf16);
        for (int p = 0; p < f.group.n_parts; p++) {
            int64_t n = f.group.out[p] * f.group.lora[p].r;
            t_check("dB of wide stripes", wide[p], doubles(narrow[p], n), n, tolerance_f32);
        }
        t_free();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_products_match_float64),
        cmocka_unit_test(gradients_not_asked_for_are_skipped),
        cmocka_unit_test(wide_stripes_give_the_sums_of_narrow_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
