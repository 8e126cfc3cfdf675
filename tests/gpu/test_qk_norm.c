// RMSNorm of q and k heads on CUDA against float64: forward with what it keeps, gradient in place, v untouched, twin.
#include "gpu/view_test.h"

static const float eps = 1e-6f;

typedef struct {
    int64_t rows, heads, cols, head_dim;  // heads: q and k; cols: of qkv
    ft_attention shape;
    float *x, *q, *k, *dy;                // host
    char what[128];
} norm_case;

static double bound(void) { return ft_op_table[FT_OP_QK_NORM].tolerance_bf16; }

static norm_case make(int64_t rows, int64_t q_heads, int64_t kv_heads, int64_t head_dim)
{
    norm_case c = {.rows = rows, .heads = q_heads + kv_heads, .cols = (q_heads + 2 * kv_heads) * head_dim, .head_dim = head_dim,
                   .shape = {q_heads, kv_heads, head_dim, 1}};
    c.x = t_random(rows * c.cols, 2, 1);
    c.dy = t_random(rows * c.cols, 1, 2);
    c.q = t_random(head_dim, 1, 3);
    c.k = t_random(head_dim, 1, 4);
    snprintf(c.what, sizeof c.what, "%lld rows, %lld+%lld heads of %lld", (long long)rows, (long long)q_heads, (long long)kv_heads,
             (long long)head_dim);
    return c;
}

static double rstd_of(norm_case c, int64_t row, int64_t head)
{
    const float *x = c.x + row * c.cols + head * c.head_dim;
    double squares = 0;
    for (int64_t i = 0; i < c.head_dim; i++) squares += (double)x[i] * (double)x[i];
    return 1 / sqrt(squares / (double)c.head_dim + (double)eps);
}

static double weight_of(norm_case c, int64_t head, int64_t i) { return (double)(head < c.shape.q_heads ? c.q : c.k)[i]; }

static double *forward_reference(norm_case c)
{
    double *want = malloc((size_t)(c.rows * c.cols) * sizeof *want);
    for (int64_t i = 0; i < c.rows * c.cols; i++) {
        int64_t row = i / c.cols, head = i % c.cols / c.head_dim;
        want[i] = (double)c.x[i];
        if (head < c.heads) want[i] *= rstd_of(c, row, head) * weight_of(c, head, i % c.cols % c.head_dim);
    }
    return want;
}

static double *backward_reference(norm_case c)
{
    double *want = malloc((size_t)(c.rows * c.cols) * sizeof *want);
    for (int64_t i = 0; i < c.rows * c.cols; i++) want[i] = (double)c.dy[i];
    for (int64_t at = 0; at < c.rows * c.heads; at++) {
        int64_t row = at / c.heads, head = at % c.heads, from = row * c.cols + head * c.head_dim;
        double f = rstd_of(c, row, head), mean = 0;
        for (int64_t i = 0; i < c.head_dim; i++)
            mean += (double)c.dy[from + i] * weight_of(c, head, i) * (double)c.x[from + i] / (double)c.head_dim;
        for (int64_t i = 0; i < c.head_dim; i++)
            want[from + i] = f * ((double)c.dy[from + i] * weight_of(c, head, i) - (double)c.x[from + i] * f * f * mean);
    }
    return want;
}

static void check_result(norm_case c, const char *part, ft_view view, double *want, const float *before)
{
    char what[160];
    snprintf(what, sizeof what, "%s: %s", part, c.what);
    float *got = t_view_read(what, view);
    t_check_rounded(what, got, want, c.rows * c.cols, bound());
    for (int64_t i = 0; i < c.rows * c.cols; i++) {
        if (i % c.cols >= c.heads * c.head_dim && got[i] != before[i]) fail_msg("%s: v changed at [%lld]", what, (long long)i);
    }
    free(got);
    free(want);
}

static void check_kept(norm_case c, ft_view raw, const float *rstd)
{
    int64_t n = c.rows * c.heads, width = c.heads * c.head_dim;
    float *kept = t_view_read(c.what, raw), *factors = malloc((size_t)n * 4);
    t_download(factors, rstd, n * 4);
    for (int64_t i = 0; i < c.rows * width; i++) {
        float want = c.x[i / width * c.cols + i % width];
        if (kept[i] != want) fail_msg("%s: raw[%lld] got %g want %g", c.what, (long long)i, (double)kept[i], (double)want);
    }
    for (int64_t i = 0; i < n; i++) {
        double want = rstd_of(c, i / c.heads, i % c.heads);
        if (!(fabs((double)factors[i] - want) <= 1e-6 * want))
            fail_msg("%s: rstd[%lld] got %.9g want %.9g", c.what, (long long)i, (double)factors[i], want);
    }
    free(kept);
    free(factors);
}

static void check(int64_t rows, int64_t q_heads, int64_t kv_heads, int64_t head_dim, int64_t pad)
{
    norm_case c = make(rows, q_heads, kv_heads, head_dim);
    const float *q = t_upload(c.q, head_dim * 4), *k = t_upload(c.k, head_dim * 4);
    ft_view qkv = t_view(rows, c.cols, c.cols + pad, c.x);
    ft_view raw = t_view(rows, c.heads * head_dim, c.heads * head_dim + pad, NULL);
    float *rstd = t_device(rows * c.heads * 4);
    T_OK(t_ops()->qk_norm_forward(t_queue(), qkv, raw, rstd, &c.shape, q, k, eps));
    check_result(c, "forward", qkv, forward_reference(c), c.x);
    check_kept(c, raw, rstd);
    ft_view dqkv = t_with_twin(t_view(rows, c.cols, c.cols + pad, c.dy)), plain = t_view(rows, c.cols, c.cols + pad, c.dy);
    T_OK(t_ops()->qk_norm_backward(t_queue(), dqkv, raw, rstd, &c.shape, q, k));
    check_result(c, "backward", dqkv, backward_reference(c), c.dy);
    t_check_twin(c.what, dqkv);
    T_OK(t_ops()->qk_norm_backward(t_queue(), plain, raw, rstd, &c.shape, q, k));
    t_same_bits(c.what, plain, dqkv);
    t_free();
}

// 40 and 80 and a leading dimension of odd size take a warp a head; 3+1 heads of 64 leave a partial last 1x128 block.
static void heads_and_gradients_match_float64(void **state)
{
    check(1, 1, 1, 128, 0);
    check(5, 2, 1, 40, 0);
    check(3, 3, 2, 80, 8);
    check(7, 3, 1, 64, 64);
    check(33, 16, 8, 128, 64);
    check(9, 32, 8, 128, 5);
    check(5, 64, 8, 128, 0);
    check(2, 128, 8, 128, 64);
    check(4, 5, 1, 256, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads_and_gradients_match_float64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
