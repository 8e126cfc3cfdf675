// Rows whose elements lie more than 2^31 elements from the first, as those of a 405B layer do at 131,072 tokens: every op gives
// what it gives where the same rows are close together. Products may take another algorithm, all else has equal bits.
// And products of that many elements, of rows that repeat: those of the result must repeat too.
#include "gpu/view_test.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/workspace.h"

enum {
    ROWS = 16400, HEAD_DIM = 128, Q_HEADS = 2, KV_HEADS = 1, COLS = (Q_HEADS + 2 * KV_HEADS) * HEAD_DIM,
    FAR_LD = 139264, LAST_ROWS = 64, SAMPLES = 2 * LAST_ROWS, RANK = 16, FOLD = 64
};
_Static_assert((int64_t)(ROWS - LAST_ROWS) * FAR_LD > INT32_MAX, "the last rows are far");

static const ft_attention heads = {Q_HEADS, KV_HEADS, HEAD_DIM, 0.0884f};

static ft_view empty_view(int64_t cols, bool far)
{
    int64_t ld = far ? FAR_LD : cols + FOLD;
    return (ft_view){.data = t_device(ROWS * ld * 2), .repr = FT_REPR_BF16, .rows = ROWS, .cols = cols, .ld = ld};
}

// The same random values for the same seed, near or far.
static ft_view random_view(int64_t cols, uint64_t seed, bool far)
{
    ft_view view = empty_view(cols, far);
    const float *values = t_random(ROWS * cols, 1, seed);
    T_OK(t_ops()->embed(t_queue(), view, t_upload_bf16(values, ROWS * cols), FT_DTYPE_BF16, NULL));
    return view;
}

// The first and the last rows, [SAMPLES, cols]; the caller frees.
static ft_bf16 *samples(ft_view view)
{
    ft_bf16 *bits = malloc((size_t)(SAMPLES * view.cols) * sizeof *bits);
    for (int64_t i = 0; i < SAMPLES; i++) {
        int64_t row = i < LAST_ROWS ? i : ROWS - SAMPLES + i;
        t_download(bits + i * view.cols, (char *)view.data + row * view.ld * 2, view.cols * 2);
    }
    return bits;
}

static void check(const char *what, ft_view near, ft_view far, double tolerance)
{
    ft_bf16 *x = samples(near), *y = samples(far);
    int64_t n = SAMPLES * near.cols, differ = 0, first = -1;
    double wrong = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        double a = (double)ft_bf16_to_f32(x[i]), b = (double)ft_bf16_to_f32(y[i]);
        wrong += (a - b) * (a - b);
        all += a * a;
        if (x[i] == y[i]) continue;
        if (differ++ == 0) first = i;
    }
    double error = sqrt(wrong / all);
    printf("%-28s %lld of %lld values differ, error %.1e (allowed %.1e)\n", what, (long long)differ, (long long)n, error, tolerance);
    if (first >= 0)
        printf("    first at sampled row %lld, column %lld: near 0x%04x, far 0x%04x\n", (long long)(first / near.cols), (long long)(first % near.cols),
               x[first], y[first]);
    free(x);
    free(y);
    assert_true(tolerance > 0 ? error < tolerance : differ == 0);
}

// What an op makes of near and of far operands, compared by `check`.
typedef struct {
    ft_view view[3];
    int n;
} made;

static void check_all(const char *what, made (*run)(bool far), double tolerance)
{
    made near = run(false), far = run(true);
    t_sync();
    for (int i = 0; i < near.n; i++) check(what, near.view[i], far.view[i], tolerance);
    t_free();
}

static float *weights_of(int64_t n)
{
    const float *values = t_random(n, 1, 77);
    return t_upload(values, n * (int64_t)sizeof *values);
}

static made run_embed(bool far)
{
    return (made){{random_view(COLS, 1, far)}, 1};
}

static made run_norm(bool far)
{
    const ft_view none = {0};
    ft_view x = random_view(COLS, 1, far), y = empty_view(COLS, far), dx = random_view(COLS, 2, far);
    float *weight = weights_of(COLS), *rstd = t_device(ROWS * 4);
    T_OK(t_ops()->rmsnorm_forward(t_queue(), y, none, rstd, x, none, weight, 1e-5f));
    T_OK(t_ops()->rmsnorm_backward(t_queue(), dx, dx, y, x, rstd, weight));
    return (made){{y, dx}, 2};
}

static made run_swiglu(bool far)
{
    ft_view gate_up = random_view(COLS, 1, far), y = random_view(COLS / 2, 2, far);
    T_OK(t_ops()->swiglu_backward(t_queue(), gate_up, y, y, gate_up));
    ft_view again = empty_view(COLS / 2, far);
    T_OK(t_ops()->swiglu_forward(t_queue(), again, gate_up));
    return (made){{gate_up, y, again}, 3};
}

static made run_rope(bool far)
{
    static float cosine[ROWS * HEAD_DIM / 2], sine[ROWS * HEAD_DIM / 2];
    static double frequency[HEAD_DIM / 2];
    static int32_t positions[ROWS];
    ft_rope_frequencies(frequency, HEAD_DIM, 500000, 0, 0, 0, 0);
    ft_rope_tables(cosine, sine, frequency, ROWS, HEAD_DIM / 2);
    for (int32_t i = 0; i < ROWS; i++) positions[i] = i;
    const ft_rope table = {t_upload(cosine, sizeof cosine), t_upload(sine, sizeof sine), ROWS, HEAD_DIM / 2};
    ft_view qkv = random_view(COLS, 1, far);
    T_OK(t_ops()->rope(t_queue(), qkv, &heads, &table, t_upload(positions, sizeof positions), -1));
    return (made){{qkv}, 1};
}

// Codes and scales are as compact as ever: their source is far.
static made run_twin(bool far)
{
    ft_view view = t_with_twin(empty_view(COLS, far));
    const float *values = t_random(ROWS * COLS, 1, 3);
    T_OK(t_ops()->embed(t_queue(), view, t_upload_bf16(values, ROWS * COLS), FT_DTYPE_BF16, NULL));
    return (made){{{.data = view.codes, .repr = FT_REPR_BF16, .rows = ROWS, .cols = COLS / 2, .ld = COLS / 2}}, 1};
}

static made run_attention(bool far)
{
    static const int32_t begin[] = {0, 300, ROWS};
    const ft_documents documents = {begin, t_upload(begin, sizeof begin), 2, ROWS};
    const ft_op_shape shape = {.rows = ROWS, .q_heads = Q_HEADS, .kv_heads = KV_HEADS, .head_dim = HEAD_DIM, .max_length = ROWS, .max_docs = 2};
    int64_t bytes = ft_op_workspace(FT_OP_ATTENTION_BACKWARD, &shape, FT_DEVICE_CUDA);
    ft_view qkv = random_view(COLS, 1, far), o = empty_view(Q_HEADS * HEAD_DIM, far), d_o = random_view(Q_HEADS * HEAD_DIM, 2, far);
    ft_view dqkv = empty_view(COLS, far);
    float *lse = t_device(Q_HEADS * ROWS * 4);
    void *workspace = t_device(bytes);
    T_OK(t_ops()->attention_forward(t_queue(), o, lse, qkv, &heads, &documents, workspace, bytes));
    T_OK(t_ops()->attention_backward(t_queue(), dqkv, d_o, o, lse, qkv, &heads, &documents, workspace, bytes));
    return (made){{o, dqkv}, 2};
}

// One bf16 weight [COLS, COLS] with LoRA around it (ft_linear_group.fold).
static ft_linear_group linear_group(void)
{
    enum { LD = COLS + FOLD };
    uint16_t *weight = t_upload_bf16(t_random((int64_t)LD * LD, 0.05f, 5), (int64_t)LD * LD);
    ft_linear_group g = {.n_parts = 1, .out = {COLS}, .n_weights = 1, .fold = FOLD, .fold_a_ld = LD, .fold_b_ld = LD,
                         .weight = {{.data = weight, .repr = FT_REPR_BF16, .rows = COLS, .cols = COLS, .ld = LD}}};
    g.fold_a = weight + (int64_t)COLS * LD;
    g.fold_b = weight + COLS;
    float *da = t_device(RANK * COLS * 4), *db = t_device(RANK * COLS * 4);
    T_OK(ft_fill(t_queue(), da, 0, RANK * COLS * 4));
    T_OK(ft_fill(t_queue(), db, 0, RANK * COLS * 4));
    g.lora[0] = (ft_lora){weights_of(RANK * COLS), weights_of(RANK * COLS), da, db, RANK, 0.5f};
    g.dropout = (ft_dropout){.p = 0.1f, .seed = 9};
    T_OK(t_ops()->lora_prepare(t_queue(), &g));
    return g;
}

static ft_view low_rank_view(void)
{
    return (ft_view){.data = t_device(ROWS * FOLD * 2), .repr = FT_REPR_BF16, .rows = ROWS, .cols = FOLD, .ld = FOLD};
}

// The adapter's gradients, over all rows: kept of the near ones, compared with the far ones.
static void check_gradients(const ft_linear_group *g, bool far)
{
    static float near[2][RANK * COLS], got[RANK * COLS];
    const float *device[] = {g->lora[0].da, g->lora[0].db};
    static double want[RANK * COLS];
    for (int i = 0; i < 2; i++) {
        t_download(far ? got : near[i], device[i], (int64_t)sizeof got);
        for (int64_t k = 0; far && k < RANK * COLS; k++) want[k] = (double)near[i][k];
        if (far) t_check(i == 0 ? "linear, dA" : "linear, dB", got, want, RANK * COLS, ft_op_table[FT_OP_LINEAR_BACKWARD].tolerance_bf16);
    }
}

static made run_linear(bool far)
{
    const ft_op_shape shape = {.rows = ROWS, .in = COLS, .out = COLS, .rank = RANK, .parts = 1, .dropout = true};
    int64_t forward = ft_op_workspace(FT_OP_LINEAR_FORWARD, &shape, FT_DEVICE_CUDA);
    int64_t backward = ft_op_workspace(FT_OP_LINEAR_BACKWARD, &shape, FT_DEVICE_CUDA), bytes = forward > backward ? forward : backward;
    void *workspace = t_device(bytes);
    ft_linear_group g = linear_group();
    ft_view x = random_view(COLS, 1, far), y = random_view(COLS, 2, far), s = low_rank_view(), dx = empty_view(COLS, far);
    T_OK(t_ops()->linear_forward(t_queue(), &g, y, x, y, s, workspace, bytes));
    T_OK(t_ops()->linear_backward(t_queue(), &g, dx, y, s, ft_view_tail(y, FOLD), workspace, bytes));
    T_OK(t_ops()->lora_backward_a(t_queue(), &g, x, ft_view_tail(y, FOLD), workspace, bytes));
    check_gradients(&g, far);
    return (made){{y, dx, s}, 3};
}

enum { MANY_ROWS = 131120, WIDE = 16512, NARROW = 256, PERIOD = 256 };
_Static_assert((int64_t)(MANY_ROWS - LAST_ROWS) * WIDE > INT32_MAX, "the last rows are far");

// Row r is row r % PERIOD of some random ones.
static ft_view repeated_rows(int64_t cols)
{
    static int32_t ids[MANY_ROWS];
    for (int32_t i = 0; i < MANY_ROWS; i++) ids[i] = i % PERIOD;
    const void *table = t_upload_bf16(t_random(PERIOD * cols, 1, 21), PERIOD * cols);
    ft_view view = {.data = t_device(MANY_ROWS * cols * 2), .repr = FT_REPR_BF16, .rows = MANY_ROWS, .cols = cols, .ld = cols};
    T_OK(t_ops()->embed(t_queue(), view, table, FT_DTYPE_BF16, t_upload(ids, sizeof ids)));
    return view;
}

static void check_repeats(const char *what, ft_view y)
{
    ft_bf16 *bits = malloc((size_t)y.cols * 2), *first = malloc((size_t)y.cols * 2);
    int64_t differ = 0;
    double wrong = 0, all = 0;
    for (int64_t row = MANY_ROWS - LAST_ROWS; row < MANY_ROWS; row++) {
        t_download(bits, (char *)y.data + row * y.ld * 2, y.cols * 2);
        t_download(first, (char *)y.data + row % PERIOD * y.ld * 2, y.cols * 2);
        for (int64_t i = 0; i < y.cols; i++) {
            double a = (double)ft_bf16_to_f32(first[i]), b = (double)ft_bf16_to_f32(bits[i]);
            wrong += (a - b) * (a - b);
            all += a * a;
            if (bits[i] != first[i] && differ++ == 0)
                printf("    first at row %lld, column %lld: %g, in row %lld %g\n", (long long)row, (long long)i, b, (long long)(row % PERIOD), a);
        }
    }
    printf("%-28s [%lld, %lld]: %lld values differ, error %.1e\n", what, (long long)y.rows, (long long)y.cols, (long long)differ, sqrt(wrong / all));
    free(bits);
    free(first);
    assert_true(all > 0 && sqrt(wrong / all) < ft_op_table[FT_OP_LINEAR_FORWARD].tolerance_bf16);
}

static void multiply_many(int64_t k, int64_t n, bool fp8)
{
    ft_view x = repeated_rows(k), y = {.data = t_device(MANY_ROWS * n * 2), .repr = FT_REPR_BF16, .rows = MANY_ROWS, .cols = n, .ld = n};
    ft_view w = {.data = t_upload_bf16(t_random(n * k, 0.05f, 22), n * k), .repr = FT_REPR_BF16, .rows = n, .cols = k, .ld = k};
    void *workspace = t_device(FT_CUBLASLT_WORKSPACE);
    if (!fp8) {
        ft_cuda_product product = {.m = x.rows, .n = n, .k = k, .a = x.data, .lda = k, .b = w.data, .ldb = k, .b_transposed = true, .d = y.data, .ldd = n};
        T_OK(ft_cuda_gemm(t_queue(), &product, workspace, FT_CUBLASLT_WORKSPACE));
    } else {
        uint8_t *codes = t_device(MANY_ROWS * k), *w_codes = t_device(n * k);
        float *scales = t_device(k / 128 * t_room(MANY_ROWS) * 4), *w_scales = t_device((n + 127) / 128 * ft_scale_stride(k) * 4);
        T_OK(ft_cuda_quantize(t_queue(), codes, scales, x, NULL));
        T_OK(ft_cuda_quantize_tile(t_queue(), w_codes, w_scales, w));
        ft_cuda_product_fp8 product = {.scaling = FT_FP8_BLOCK, .m = x.rows, .n = n, .k = k, .a = codes, .lda = k, .a_scales = scales, .b = w_codes,
                                       .ldb = k, .b_scales = w_scales, .d = y.data, .ldd = n};
        T_OK(ft_cuda_gemm_fp8(t_queue(), &product, workspace, FT_CUBLASLT_WORKSPACE));
    }
    check_repeats(fp8 ? "product, E4M3" : "product, bf16", y);
    t_free();
}

static void products_read_many_elements(void **state)
{
    multiply_many(WIDE, NARROW, false);
    multiply_many(WIDE, NARROW, true);
}

static void products_write_many_elements(void **state)
{
    multiply_many(NARROW, WIDE, false);
    multiply_many(NARROW, WIDE, true);
}

static void setup(void)
{
    t_open(&(ft_ops_options){.attention = heads, .rows = ROWS, .max_length = ROWS, .max_docs = 2, .train = true, .deterministic = true});
}

static void rows_are_gathered(void **state) { check_all("embed", run_embed, 0); }
static void rows_are_normed(void **state) { check_all("rmsnorm", run_norm, 0); }
static void rows_are_gated(void **state) { check_all("swiglu", run_swiglu, 0); }
static void rows_are_turned(void **state) { check_all("rope", run_rope, 0); }
static void rows_are_quantized(void **state) { check_all("twin's codes", run_twin, 0); }
static void rows_attend(void **state) { check_all("attention", run_attention, 0); }
static void rows_are_multiplied(void **state) { check_all("linear", run_linear, ft_op_table[FT_OP_LINEAR_BACKWARD].tolerance_bf16); }

int main(void)
{
    setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_gathered),  cmocka_unit_test(rows_are_normed), cmocka_unit_test(rows_are_gated),
        cmocka_unit_test(rows_are_turned),    cmocka_unit_test(rows_are_quantized), cmocka_unit_test(rows_attend),
        cmocka_unit_test(rows_are_multiplied), cmocka_unit_test(products_read_many_elements),
        cmocka_unit_test(products_write_many_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
