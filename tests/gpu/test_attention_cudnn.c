// Attention through cuDNN against float64: dense and ragged plans, grouped heads, documents of many lengths in one micro-batch,
// row tails that stay untouched, one set of plans for changing documents; and its speed.
#include "gpu/attention_cudnn_check.h"

// Equal documents of max_length slots take the dense plan, all others a ragged one.
static const attention_case cases[] = {
    {4, 2, 64, 0, 0, 1, {64}},
    {4, 2, 128, 0, 0, 1, {128}},
    {4, 2, 64, 0, 0, 1, {200}},
    {4, 2, 128, 0, 0, 3, {130, 130, 130}},
    {3, 3, 64, 0, 0, 2, {128, 128}},
    {8, 1, 128, 0, 0, 2, {192, 192}},
    {4, 2, 64, 0, 0, 1, {1}},
    {4, 2, 128, 0, 0, 3, {1, 1, 1}},
    {4, 2, 64, 256, 0, 1, {200}},
    {4, 2, 128, 256, 0, 2, {64, 64}},
    {4, 2, 64, 0, 0, 2, {200, 65}},
    {3, 3, 128, 0, 0, 2, {65, 200}},
    {4, 2, 64, 0, 0, 9, {1, 130, 1, 64, 63, 1, 128, 5, 200}},
    {4, 2, 128, 0, 0, 9, {200, 1, 5, 129, 1, 64, 63, 127, 1}},
    {8, 1, 128, 0, 0, 5, {3, 0, 131, 1, 257}},
    {9, 3, 64, 0, 0, 3, {300, 2, 100}},
    {4, 2, 128, 0, 0, 40, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                           1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 200}},
    {4, 2, 128, 0, 5, 3, {70, 129, 33}},
};

static void matches_float64(void **state)
{
    attention a = {0};
    set_documents(&a, *state);
    make_values(&a, 1);
    open_cudnn(&a, a.rows, a.c->n);
    check_against_float64(&a);
    close_cudnn(&a);
}

// Opened once for the largest, then micro-batches of fewer rows and documents, of both kinds and back.
static void one_opening_serves_changing_documents(void **state)
{
    (void)state;
    static const attention_case batches[] = {
        {4, 2, 128, 192, 0, 2, {192, 192}},
        {4, 2, 128, 192, 0, 5, {100, 1, 192, 90, 1}},
        {4, 2, 128, 192, 0, 2, {192, 192}},
        {4, 2, 128, 192, 0, 1, {77}},
        {4, 2, 128, 192, 0, 3, {60, 130, 2}},
    };
    attention a = {0};
    set_documents(&a, &batches[0]);
    open_cudnn(&a, 384, 5);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        set_documents(&a, &batches[i]);
        a.dense = a.dense && a.rows == 384;
        make_values(&a, 10 + 2 * i);
        check_against_float64(&a);
    }
    close_cudnn(&a);
}

static void forward_repeats_bit_for_bit(void **state)
{
    (void)state;
    static const attention_case batches[] = {{8, 2, 128, 0, 0, 2, {512, 512}}, {8, 2, 64, 0, 0, 3, {500, 20, 333}}};
    for (size_t i = 0; i < 2; i++) {
        attention a = {0};
        set_documents(&a, &batches[i]);
        make_values(&a, 5);
        open_cudnn(&a, a.rows, a.c->n);
        forward(&a);
        uint16_t *first = t_download_rows(a.o_view);
        poison_outputs(&a);
        forward(&a);
        uint16_t *second = t_download_rows(a.o_view);
        for (int64_t k = 0; k < a.rows * a.o_view.ld; k++)
            if (first[k] != second[k]) fail_msg("case %zu: element %lld: %04x and %04x", i, (long long)k, first[k], second[k]);
        ft_free(first);
        ft_free(second);
        close_cudnn(&a);
    }
}

// A column that a view's tail adds may make the difference. Where the shape alone says so, no workspace is set aside either.
static void refuses_views_of_2_31_elements(void **state)
{
    (void)state;
    ft_ops_options options = {.attention = {16, 8, 64, 0.125f}, .rows = (1 << 20) - 1, .max_length = (1 << 20) - 1, .max_docs = 1,
                              .qkv_ld = 2048, .o_ld = 1024, .d_o_ld = 1024, .dqkv_ld = 2048 + TAIL};
    ft_cudnn_attention *cudnn;
    assert_int_equal(ft_cudnn_attention_open(&cudnn, t_queue(), &options, true), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "2^31"));
    ft_op_shape shape = {.rows = 1 << 20, .q_heads = 16, .kv_heads = 8, .head_dim = 64, .max_length = 1 << 20, .max_docs = 1};
    assert_int_equal(ft_cudnn_attention_workspace(&shape, true), 0);
    shape.rows--;
    assert_true(ft_cudnn_attention_workspace(&shape, true) > 0);
}

static void refuses_other_head_dimensions(void **state)
{
    (void)state;
    const ft_ops_options options = {.attention = {4, 2, 80, 0.1f}, .rows = 128, .max_length = 128, .max_docs = 1, .train = true};
    ft_cudnn_attention *cudnn;
    assert_int_equal(ft_cudnn_attention_open(&cudnn, t_queue(), &options, true), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "head_dim 80"));
    assert_null(cudnn);
}

static void takes_only_dense_documents_unless_asked(void **state)
{
    (void)state;
    if (ft_cuda_library_open(FT_LIBRARY_CUDNN) != FT_OK) skip();
    static const int32_t even[] = {0, 128, 256}, packed[] = {0, 100, 256}, one[] = {0, 128};
    const ft_documents dense = {.begin = even, .n = 2}, uneven = {.begin = packed, .n = 2}, part = {.begin = one, .n = 1};
    ft_ops_options options = {.attention = {4, 2, 64, 0.125f}, .rows = 256, .max_length = 128, .max_docs = 2};
    for (int ragged = 0; ragged < 2; ragged++) {
        ft_cudnn_attention *cudnn;
        assert_int_equal(ft_cudnn_attention_open(&cudnn, t_queue(), &options, ragged), FT_OK);
        assert_true(ft_cudnn_attention_takes(cudnn, &dense));
        assert_int_equal(ft_cudnn_attention_takes(cudnn, &uneven), ragged);
        assert_int_equal(ft_cudnn_attention_takes(cudnn, &part), ragged);
        ft_cudnn_attention_close(cudnn);
    }
    options.rows = 250;
    ft_cudnn_attention *none;
    assert_int_equal(ft_cudnn_attention_open(&none, t_queue(), &options, false), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "250 rows"));
}

// By way of the op: packed documents have the bits of our kernels.
static void packed_documents_take_our_kernels(void **state)
{
    (void)state;
    static const attention_case packed = {4, 2, 128, 256, 0, 2, {200, 56}};
    attention a = {0};
    unsetenv("FT_ATTENTION");
    set_documents(&a, &packed);
    make_values(&a, 3);
    t_open(&(ft_ops_options){.attention = a.shape, .rows = a.rows, .max_length = 256, .max_docs = 2});
    open_cudnn(&a, a.rows, 2);  // for its workspace
    assert_int_equal(t_ops()->attention_forward(t_queue(), a.o_view, a.lse, a.qkv_view, &a.shape, &a.documents, a.workspace,
                                                a.workspace_bytes), FT_OK);
    uint16_t *got = t_download_rows(a.o_view);
    poison_outputs(&a);
    assert_int_equal(ft_own_attention_forward(t_queue(), FT_PRODUCTS_AUTO, a.o_view, a.lse, a.qkv_view, &a.shape, &a.documents),
                     FT_OK);
    uint16_t *want = t_download_rows(a.o_view);
    assert_memory_equal(got, want, (size_t)(a.rows * a.o_view.ld) * sizeof *got);
    ft_free(got);
    ft_free(want);
    close_cudnn(&a);
}

static int free_case(void **state)
{
    (void)state;
    t_free();
    return 0;
}

// --- speed ---------------------------------------------------------------------------------------------------------------------
// Random values that repeat every few rows: millions of distinct ones would take the host seconds.
static ft_view repeated_view(int64_t rows, int64_t cols, uint64_t seed)
{
    enum { DISTINCT = 61 };
    ft_bf16 *block = t_bf16(t_random(DISTINCT * cols, 1, seed), DISTINCT * cols), *all = ft_malloc((size_t)(rows * cols) * 2);
    for (int64_t r = 0; r < rows; r += DISTINCT)
        memcpy(all + r * cols, block, (size_t)((rows - r < DISTINCT ? rows - r : DISTINCT) * cols) * 2);
    void *data = t_upload(all, rows * cols * 2);
    ft_free(all);
    return t_rows_view(data, rows, cols, cols);
}

static void print_speed(const char *what, const attention_case *c, const char *target)
{
    double squares = 0;
    for (int d = 0; d < c->n; d++) squares += (double)c->lengths[d] * c->lengths[d];
    const double flops = 4 * squares / 2 * (double)(c->q_heads * c->head_dim);
    attention a = {0};
    set_documents(&a, c);
    a.qkv_view = repeated_view(a.rows, a.cols, 1);
    a.d_o_view = repeated_view(a.rows, a.o_cols, 2);
    poison_outputs(&a);
    open_cudnn(&a, a.rows, c->n);
    forward(&a);
    const double seconds = t_time(forward, &a, 10), seconds_back = t_time(backward, &a, 10);
    printf("attention cuDNN %s %-30s forward %7.3f ms %6.1f TFLOP/s, backward %7.3f ms %6.1f TFLOP/s%s\n",
           ft_cudnn_attention_version(), what, seconds * 1e3, flops / seconds * 1e-12, seconds_back * 1e3,
           2.5 * flops / seconds_back * 1e-12, target);
    fflush(stdout);
    close_cudnn(&a);
}

static void speed_is_printed(void **state)
{
    (void)state;
    static const attention_case llama8 = {32, 8, 128, 0, 0, 2, {4096, 4096}}, llama70 = {64, 8, 128, 0, 0, 1, {8192}};
    static const attention_case smol = {9, 3, 64, 0, 0, 4, {2048, 2048, 2048, 2048}};
    static const attention_case same_ragged = {32, 8, 128, 4224, 0, 2, {4096, 4096}};
    static const attention_case packed = {32, 8, 128, 4096, 0, 16, {911, 37, 1450, 212, 64, 799, 5, 388, 1203, 130, 641, 98, 1017,
                                                                    256, 479, 502}};
    print_speed("32/8 d128 2 x 4096", &llama8, " (PyTorch's: 594/455)");
    print_speed("64/8 d128 1 x 8192", &llama70, " (PyTorch's: 645/508)");
    print_speed("9/3 d64 4 x 2048", &smol, " (PyTorch's: 298/230)");
    print_speed("32/8 d128 2 x 4096, ragged", &same_ragged, "");
    print_speed("32/8 d128 16 documents in 8192", &packed, "");
}

static const struct CMUnitTest other_tests[] = {
    cmocka_unit_test_teardown(one_opening_serves_changing_documents, free_case),
    cmocka_unit_test_teardown(forward_repeats_bit_for_bit, free_case),
    cmocka_unit_test_teardown(refuses_views_of_2_31_elements, free_case),
    cmocka_unit_test_teardown(refuses_other_head_dimensions, free_case),
    cmocka_unit_test_teardown(takes_only_dense_documents_unless_asked, free_case),
    cmocka_unit_test_teardown(packed_documents_take_our_kernels, free_case),
    cmocka_unit_test_teardown(speed_is_printed, free_case),
};

enum { CASES = sizeof cases / sizeof *cases, OTHERS = sizeof other_tests / sizeof *other_tests };

int main(void)
{
    static char names[CASES][96];
    static struct CMUnitTest tests[CASES + OTHERS];
    for (int i = 0; i < CASES; i++) {
        const attention_case *c = &cases[i];
        snprintf(names[i], sizeof names[i], "matches_float64_%d_%lld_%lld_d%lld_%d_documents_from_%d", i, (long long)c->q_heads,
                 (long long)c->kv_heads, (long long)c->head_dim, c->n, c->lengths[0]);
        tests[i] = (struct CMUnitTest){names[i], matches_float64, NULL, free_case, (void *)(uintptr_t)c};
    }
    memcpy(tests + CASES, other_tests, sizeof other_tests);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
