// Rotary embedding on CUDA against float64: both directions, in place, v untouched, the twin of a gradient.
#include "gpu/view_test.h"

typedef struct {
    int64_t rows, q_heads, kv_heads, head_dim, pad;
    int direction;
    bool twin;
} shape_case;

enum { POSITIONS = 300 };

static ft_rope tables(int64_t half, float **cosine, float **sine)
{
    double *frequency = malloc((size_t)half * sizeof *frequency);
    *cosine = malloc((size_t)(POSITIONS * half) * 4);
    *sine = malloc((size_t)(POSITIONS * half) * 4);
    ft_rope_frequencies(frequency, 2 * half, 10000, 0, 0, 0, 0);
    ft_rope_tables(*cosine, *sine, frequency, POSITIONS, half);
    free(frequency);
    return (ft_rope){t_upload(*cosine, POSITIONS * half * 4), t_upload(*sine, POSITIONS * half * 4), POSITIONS, half};
}

static double *rotated(shape_case s, const float *x, int64_t cols, const int32_t *positions, const float *cosine, const float *sine)
{
    double *want = malloc((size_t)(s.rows * cols) * sizeof *want);
    int64_t half = s.head_dim / 2, turned = (s.q_heads + s.kv_heads) * s.head_dim;
    for (int64_t i = 0; i < s.rows * cols; i++) {
        int64_t c = i % cols, within = c % s.head_dim, angle = positions[i / cols] * half + within % half;
        double co = (double)cosine[angle], si = (double)sine[angle] * s.direction;
        if (c >= turned) want[i] = (double)x[i];
        else if (within < half) want[i] = (double)x[i] * co - (double)x[i + half] * si;
        else want[i] = (double)x[i] * co + (double)x[i - half] * si;
    }
    return want;
}

static void check_v(const char *what, shape_case s, const float *got, const float *x, int64_t cols)
{
    int64_t turned = (s.q_heads + s.kv_heads) * s.head_dim;
    for (int64_t i = 0; i < s.rows * cols; i++) {
        if (i % cols >= turned && got[i] != x[i]) {
            fail_msg("%s: v changed at row %lld, column %lld: got %g want %g", what, (long long)(i / cols), (long long)(i % cols),
                     (double)got[i], (double)x[i]);
        }
    }
}

static void check(shape_case s)
{
    int64_t cols = (s.q_heads + 2 * s.kv_heads) * s.head_dim;
    char what[160];
    snprintf(what, sizeof what, "%lld rows, %lld+%lld heads of %lld, pad %lld, direction %d%s", (long long)s.rows,
             (long long)s.q_heads, (long long)s.kv_heads, (long long)s.head_dim, (long long)s.pad, s.direction,
             s.twin ? ", twin" : "");
    float *x = t_random(s.rows * cols, 2, 1), *cosine, *sine;
    ft_rope table = tables(s.head_dim / 2, &cosine, &sine);
    int32_t *positions = malloc((size_t)s.rows * sizeof *positions);
    for (int64_t r = 0; r < s.rows; r++) positions[r] = (int32_t)(r * 37 % POSITIONS);
    const int32_t *device_positions = t_upload(positions, s.rows * 4);
    ft_attention shape = {s.q_heads, s.kv_heads, s.head_dim, 1};
    ft_view qkv = t_view(s.rows, cols, cols + s.pad, x), again = t_view(s.rows, cols, cols + s.pad, x);
    if (s.twin) qkv = t_with_twin(qkv);
    T_OK(t_ops()->rope(t_queue(), qkv, &shape, &table, device_positions, s.direction));
    T_OK(t_ops()->rope(t_queue(), again, &shape, &table, device_positions, s.direction));
    float *got = t_view_read(what, qkv);
    double *want = rotated(s, x, cols, positions, cosine, sine);
    t_check_rounded(what, got, want, s.rows * cols, ft_op_table[FT_OP_ROPE].tolerance_bf16);
    check_v(what, s, got, x, cols);
    t_same_bits(what, qkv, again);
    if (s.twin) t_check_twin(what, qkv);
    free(got);
    free(want);
    free(cosine);
    free(sine);
    free(positions);
    t_free();
}

// Heads of 64 and 128 have the twin on the way, the others after it; 20, 10 and odd leading dimensions take scalar accesses;
// 80 and 96 have head widths that are no power of two; 9+3 heads of 64 leave a partial last block.
static void rotation_matches_float64(void **state)
{
    static const int64_t shapes[][5] = {{1, 1, 1, 2, 0},     {7, 2, 1, 10, 0},    {5, 3, 1, 20, 4},   {9, 4, 2, 16, 16},
                                        {37, 9, 3, 64, 64},  {5, 14, 2, 64, 3},   {3, 8, 8, 80, 8},   {4, 6, 2, 96, 0},
                                        {17, 32, 8, 128, 64}, {3, 64, 8, 128, 0}, {2, 128, 8, 128, 64}, {1, 128, 8, 128, 8},
                                        {3, 4, 1, 256, 0},   {2, 2, 1, 512, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int mode = 0; mode < 3; mode++) {
            const int64_t *s = shapes[i];
            check((shape_case){s[0], s[1], s[2], s[3], s[4], mode == 0 ? 1 : -1, mode == 2});
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rotation_matches_float64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
