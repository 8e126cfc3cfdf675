// Matrix products by every kernel this CPU can run: every transposition, odd shapes, alpha and beta, sums of terms; the bits
// depend neither on the number of threads nor on the number of rows.
#include "kernels/cpu/gemm_kernel.h"
#include "kernel_test.h"

typedef struct {
    int64_t m, n, k;
    bool a_transposed, b_transposed;
    float alpha, beta;
} product;

static const product products[] = {
    {1, 1, 1, false, false, 1, 0},      {1, 300, 77, false, true, 2, 0},   {1, 513, 64, true, false, 1, 1},
    {37, 129, 65, false, true, 1, 0},   {129, 16, 300, true, false, 1, 1}, {16, 577, 129, true, false, 0.5f, 1},
    {300, 700, 33, false, true, 1, 0},  {600, 48, 90, false, false, 1, 1}, {257, 1030, 20, true, true, -1, 0.5f},
    {2, 3, 2000, false, true, 1, 0},     {9, 64, 417, false, false, 1, 0},   {8, 48, 0, false, false, 1, 0.5f},
};

// OpenBLAS, then the kernels from the slowest to the fastest, which stays chosen.
static void with_every_kernel(void (*check)(void))
{
    ft_gemm_use(NULL);
    check();
    for (size_t i = 0; ft_gemm_variant(i) != NULL; i++) {
        ft_gemm_use(ft_gemm_variant(i));
        check();
    }
}

static t_matrix multiply(const product *p, t_matrix a, t_matrix b, t_matrix start)
{
    t_matrix c = t_matrix_copy(start);
    ft_gemm_parallel(&(ft_gemm){.m = p->m, .n = p->n, .k = p->k, .a = a.data, .lda = a.ld, .a_transposed = p->a_transposed,
                                .b = b.data, .ldb = b.ld, .b_transposed = p->b_transposed, .c = c.data, .ldc = c.ld,
                                .alpha = p->alpha, .beta = p->beta});
    return c;
}

static double *multiply_reference(const product *p, t_matrix a, t_matrix b, t_matrix start)
{
    double *c = t_doubles(p->m * p->n);
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < p->k; l++) {
                sum += (p->a_transposed ? t_at(a, l, i) : t_at(a, i, l)) * (p->b_transposed ? t_at(b, j, l) : t_at(b, l, j));
            }
            c[i * p->n + j] = (double)p->alpha * sum + (p->beta != 0 ? (double)p->beta * t_at(start, i, j) : 0);
        }
    }
    return c;
}

static void check_product(const product *p, uint32_t seed)
{
    t_matrix a = p->a_transposed ? t_matrix_random(p->k, p->m, 3, seed, 1) : t_matrix_random(p->m, p->k, 3, seed, 1);
    t_matrix b = p->b_transposed ? t_matrix_random(p->n, p->k, 5, seed + 1, 1) : t_matrix_random(p->k, p->n, 5, seed + 1, 1);
    // With beta 0 what stands in C must not matter, not even a NaN.
    t_matrix start = p->beta != 0 ? t_matrix_random(p->m, p->n, 7, seed + 2, 1) : t_matrix_nan(p->m, p->n, 7);
    double *reference = multiply_reference(p, a, b, start);
    t_matrix c = multiply(p, a, b, start);
    t_assert_close(c, reference, 2e-6);
    ft_free(reference);
    t_matrix_free(a);
    t_matrix_free(b);
    t_matrix_free(c);
    ft_free(start.data);
}

static void check_products(void)
{
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) check_product(&products[i], (uint32_t)i * 10);
}

static void products_match_float64(void **state)
{
    with_every_kernel(check_products);
}

static void check_threads_of(product p)
{
    t_matrix a = t_matrix_random(p.m, p.k, 0, 1, 1), b = p.b_transposed ? t_matrix_random(p.n, p.k, 0, 2, 1) : t_matrix_random(p.k, p.n, 0, 2, 1);
    t_matrix start = t_matrix_random(p.m, p.n, 0, 3, 1), expected = multiply(&p, a, b, start);
    for (int threads = 1; threads <= 5; threads += 2) {
        ft_threads_shutdown();
        assert_int_equal(ft_threads_init(threads), FT_OK);
        t_matrix c = multiply(&p, a, b, start);
        t_assert_same_bits(c, expected);
        t_matrix_free(c);
    }
    t_matrix_free(a);
    t_matrix_free(b);
    t_matrix_free(start);
    t_matrix_free(expected);
}

// Several blocks of k, and a single row, which is OpenBLAS's.
static void check_threads(void)
{
    check_threads_of((product){300, 1100, 500, false, true, 1, 1});
    check_threads_of((product){1, 1100, 200, false, false, 1, 0});
    check_threads_of((product){1, 3000, 128, false, false, 1, 0});
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
    with_every_kernel(check_threads);
}

static void check_rows(void)
{
    const product whole = {301, 130, 500, false, true, 1, 0}, some = {5, 130, 500, false, true, 1, 0};
    t_matrix a = t_matrix_random(whole.m, whole.k, 0, 1, 1), b = t_matrix_random(whole.n, whole.k, 0, 2, 1);
    t_matrix start = t_matrix_nan(whole.m, whole.n, 0), less = t_matrix_nan(some.m, some.n, 0), from = a;
    from.data += 203 * a.ld;
    t_matrix expected = multiply(&whole, a, b, start), c = multiply(&some, from, b, less);
    assert_memory_equal(c.data, expected.data + 203 * expected.ld, (size_t)(some.m * some.n) * sizeof(float));
    t_matrix_free(a);
    t_matrix_free(b);
    t_matrix_free(c);
    t_matrix_free(expected);
    t_matrix_free(start);
    t_matrix_free(less);
}

static void bits_do_not_depend_on_the_number_of_rows(void **state)
{
    if (ft_gemm_variant(0) == NULL) skip();
    for (size_t i = 0; ft_gemm_variant(i) != NULL; i++) {
        ft_gemm_use(ft_gemm_variant(i));
        check_rows();
    }
    ft_gemm_setup();
}

// C = 0.5 C + 2 A B^T - D E: as two products one after the other.
static void check_sum(void)
{
    const product first = {70, 100, 300, false, true, 2, 0.5f}, second = {70, 100, 16, false, false, -1, 1};
    t_matrix a = t_matrix_random(70, 300, 1, 1, 1), b = t_matrix_random(100, 300, 2, 2, 1);
    t_matrix d = t_matrix_random(70, 16, 3, 3, 1), e = t_matrix_random(16, 100, 4, 4, 1), c = t_matrix_random(70, 100, 5, 5, 1);
    t_matrix half = multiply(&first, a, b, c), expected = multiply(&second, d, e, half);
    ft_gemm_sum_parallel(&(ft_gemm_sum){.m = 70, .n = 100, .c = c.data, .ldc = c.ld, .beta = 0.5f, .n_terms = 2, .term = {
        {.k = 300, .a = a.data, .lda = a.ld, .b = b.data, .ldb = b.ld, .b_transposed = true, .alpha = 2},
        {.k = 16, .a = d.data, .lda = d.ld, .b = e.data, .ldb = e.ld, .alpha = -1}}});
    for (int64_t i = 0; i < 70; i++) {
        for (int64_t j = 0; j < 100; j++) assert_true(fabs(t_at(c, i, j) - t_at(expected, i, j)) < 1e-4);
    }
    const t_matrix gone[] = {a, b, c, d, e, half, expected};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) t_matrix_free(gone[i]);
}

static void a_sum_is_its_terms_added(void **state)
{
    with_every_kernel(check_sum);
}

static void round_to_bf16(t_matrix m)
{
    for (int64_t i = 0; i < m.rows; i++) {
        for (int64_t j = 0; j < m.cols; j++) m.data[i * m.ld + j] = ft_bf16_to_f32(ft_f32_to_bf16(m.data[i * m.ld + j]));
    }
}

static void check_bf16(const product *p, uint32_t seed)
{
    t_matrix a = p->a_transposed ? t_matrix_random(p->k, p->m, 3, seed, 1) : t_matrix_random(p->m, p->k, 3, seed, 1);
    t_matrix b = p->b_transposed ? t_matrix_random(p->n, p->k, 5, seed + 1, 1) : t_matrix_random(p->k, p->n, 5, seed + 1, 1);
    t_matrix c = t_matrix_random(p->m, p->n, 7, seed + 2, 1), start = t_matrix_copy(c);
    ft_gemm_parallel(&(ft_gemm){.m = p->m, .n = p->n, .k = p->k, .a = a.data, .lda = a.ld, .a_transposed = p->a_transposed,
                                .b = b.data, .ldb = b.ld, .b_transposed = p->b_transposed, .c = c.data, .ldc = c.ld,
                                .alpha = p->alpha, .beta = p->beta, .bf16 = true});
    round_to_bf16(a);
    round_to_bf16(b);
    double *reference = multiply_reference(p, a, b, start);
    t_assert_close(c, reference, 2e-6);
    ft_free(reference);
    const t_matrix gone[] = {a, b, c, start};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) t_matrix_free(gone[i]);
}

static void bf16_products_round_their_factors_and_nothing_else(void **state)
{
    if (!ft_gemm_has_bf16()) skip();
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) check_bf16(&products[i], (uint32_t)i * 10);
}

static void an_empty_product_does_nothing(void **state)
{
    float c = 3;
    ft_gemm_parallel(&(ft_gemm){.m = 0, .n = 5, .k = 2, .c = &c, .ldc = 5});
    ft_gemm_parallel(&(ft_gemm){.m = 5, .n = 0, .k = 2, .c = &c, .ldc = 1});
    assert_true(c == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_match_float64),
        cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
        cmocka_unit_test(bits_do_not_depend_on_the_number_of_rows),
        cmocka_unit_test(a_sum_is_its_terms_added),
        cmocka_unit_test(bf16_products_round_their_factors_and_nothing_else),
        cmocka_unit_test(an_empty_product_does_nothing),
    };
    return T_GROUP(tests);
}
