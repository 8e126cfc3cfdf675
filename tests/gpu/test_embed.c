// Embedding gather and small vectors on CUDA: exact up to the one rounding to bf16, from every float type.
#include "gpu/view_test.h"

static const ft_dtype dtypes[] = {FT_DTYPE_BF16, FT_DTYPE_F16, FT_DTYPE_F32, FT_DTYPE_F64};

// n values of the type that bf16 cannot all hold, their float32 values in `values`.
static void *elements(ft_dtype dtype, int64_t n, float *values)
{
    float *random = t_random(2 * n, 1, 7);
    void *stored = malloc((size_t)n * ft_dtype_bytes(dtype));
    for (int64_t i = 0; i < n; i++) values[i] = random[i] * (1 + random[n + i] / 64);
    T_OK(ft_convert_from_f32(stored, values, dtype, (size_t)n));
    T_OK(ft_convert_to_f32(values, stored, dtype, (size_t)n));
    return stored;
}

static void check(ft_dtype dtype, int64_t rows, int64_t cols, int64_t ld, bool gather, bool twin)
{
    enum { VOCAB = 50 };
    int64_t held = gather ? VOCAB : rows;
    char what[128];
    snprintf(what, sizeof what, "embed %s %s[%lld, %lld] ld %lld", ft_dtype_name(dtype), gather ? "gather " : "", (long long)rows,
             (long long)cols, (long long)ld);
    float *values = malloc((size_t)(held * cols) * 4), *want = malloc((size_t)(rows * cols) * 4);
    int32_t *ids = malloc((size_t)rows * 4);
    void *table = elements(dtype, held * cols, values);
    for (int64_t r = 0; r < rows; r++) ids[r] = (int32_t)(gather ? (r * 31 + 49) % VOCAB : r);
    for (int64_t i = 0; i < rows * cols; i++) want[i] = values[ids[i / cols] * cols + i % cols];
    ft_view dst = t_view(rows, cols, ld, NULL);
    if (twin) dst = t_with_twin(dst);
    const void *device = t_upload(table, held * cols * (int64_t)ft_dtype_bytes(dtype));
    T_OK(t_ops()->embed(t_queue(), dst, device, dtype, gather ? t_upload(ids, rows * 4) : NULL));
    t_same_bits(what, dst, t_view(rows, cols, ld, want));
    if (twin) t_check_twin(what, dst);
    free(values);
    free(want);
    free(ids);
    free(table);
    t_free();
}

static void rows_arrive_rounded_once(void **state)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        check(dtypes[i], 1, 8, 8, true, false);
        check(dtypes[i], 37, 65, 70, true, false);
        check(dtypes[i], 37, 576, 640, true, true);
        check(dtypes[i], 5, 4096, 4160, false, false);
        check(dtypes[i], 3, 16384, 16384, true, false);
    }
}

static void vectors_become_float32(void **state)
{
    static const int64_t sizes[] = {1, 7, 256, 4096, 16385};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes * (sizeof sizes / sizeof *sizes); i++) {
        ft_dtype dtype = dtypes[i % (sizeof dtypes / sizeof *dtypes)];
        int64_t n = sizes[i / (sizeof dtypes / sizeof *dtypes)];
        float *want = malloc((size_t)n * 4), *got = malloc((size_t)(n + 1) * 4);
        void *stored = elements(dtype, n, want);
        float *device = t_device((n + 1) * 4);
        T_OK(t_ops()->vector_prepare(t_queue(), device, t_upload(stored, n * (int64_t)ft_dtype_bytes(dtype)), dtype, n));
        t_download(got, device, (n + 1) * 4);
        for (int64_t k = 0; k < n; k++) {
            if (got[k] != want[k])
                fail_msg("%s vector of %lld: [%lld] got %.9g want %.9g", ft_dtype_name(dtype), (long long)n, (long long)k,
                         (double)got[k], (double)want[k]);
        }
        assert_int_equal(ft_f32_to_bits(got[n]), 0xFFFFFFFF);
        free(want);
        free(got);
        free(stored);
        t_free();
    }
}

static void other_types_are_refused(void **state)
{
    ft_view dst = t_view(1, 8, 8, NULL);
    assert_int_equal(t_ops()->embed(t_queue(), dst, dst.data, FT_DTYPE_I32, NULL), FT_E_UNSUPPORTED);
    assert_int_equal(t_ops()->vector_prepare(t_queue(), dst.data, dst.data, FT_DTYPE_I8, 1), FT_E_UNSUPPORTED);
    t_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_arrive_rounded_once), cmocka_unit_test(vectors_become_float32),
                                       cmocka_unit_test(other_types_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
