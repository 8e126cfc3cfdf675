// Matrix products: every transposition, odd shapes, alpha and beta; the bits do not depend on the number of threads.
#include "kernels/cpu/gemm.h"
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
    {2, 3, 2000, false, true, 1, 0},
};

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

static void products_match_float64(void **state)
{
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) check_product(&products[i], (uint32_t)i * 10);
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
    const product p = {300, 1100, 200, false, true, 1, 1};
    t_matrix a = t_matrix_random(p.m, p.k, 0, 1, 1), b = t_matrix_random(p.n, p.k, 0, 2, 1);
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
        cmocka_unit_test(an_empty_product_does_nothing),
    };
    return T_GROUP(tests);
}
