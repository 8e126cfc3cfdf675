// Attention against float64: documents of many lengths in one micro-batch, grouped heads, both sides of the tile bounds; the backward
// pass also against finite differences, and the one-token form against the last row of the full one.
#include "kernel_test.h"

typedef struct {
    int64_t q_heads, kv_heads, head_dim;
    int32_t begin[8];
    int32_t n;
} attention_case;

static const attention_case cases[] = {
    {1, 1, 2, {0, 1}, 1},
    {3, 1, 64, {0, 37, 38, 75}, 3},
    {4, 1, 16, {0, 1, 2, 131, 259, 300}, 5},
    {2, 2, 128, {0, 128, 129}, 2},
    {8, 2, 24, {0, 300, 429}, 2},
    {3, 3, 8, {0, 0, 513, 513, 530}, 4},
};

typedef struct {
    const attention_case *c;
    int64_t rows;
    ft_attention shape;
    ft_documents documents;
    t_matrix qkv, o, d_o, dqkv;
    float *lse;
} attention;

static attention make(const attention_case *c)
{
    attention a = {.c = c, .rows = c->begin[c->n], .shape = {c->q_heads, c->kv_heads, c->head_dim, 1 / sqrtf((float)c->head_dim)}};
    int64_t cols = (c->q_heads + 2 * c->kv_heads) * c->head_dim;
    for (int32_t d = 0; d < c->n; d++) {
        int32_t length = c->begin[d + 1] - c->begin[d];
        if (length > a.documents.max_length) a.documents.max_length = length;
    }
    a.documents.begin = c->begin;
    a.documents.n = c->n;
    a.qkv = t_matrix_random(a.rows, cols, 3, 1, 1.5f);
    a.o = t_matrix_nan(a.rows, c->q_heads * c->head_dim, 1);
    a.d_o = t_matrix_random(a.rows, c->q_heads * c->head_dim, 2, 2, 1);
    a.dqkv = t_matrix_nan(a.rows, cols, 4);
    a.lse = ft_malloc((size_t)(a.rows * c->q_heads) * sizeof(float));
    return a;
}

static void free_attention(attention *a)
{
    t_matrix_free(a->qkv);
    t_matrix_free(a->o);
    t_matrix_free(a->d_o);
    t_matrix_free(a->dqkv);
    ft_free(a->lse);
}

static ft_op_shape op_shape(const attention *a)
{
    return (ft_op_shape){.rows = a->rows, .q_heads = a->c->q_heads, .kv_heads = a->c->kv_heads, .head_dim = a->c->head_dim,
                         .max_length = a->documents.max_length};
}

static void run_forward(attention *a)
{
    ft_op_shape shape = op_shape(a);
    t_workspace w = t_workspace_take(FT_OP_ATTENTION_FORWARD, &shape);
    assert_int_equal(t.ops->attention_forward(t.queue, t_view(a->o), a->lse, t_view(a->qkv), &a->shape, &a->documents, w.data,
                                              w.bytes), FT_OK);
    t_workspace_return(w);
}

static void run_backward(attention *a)
{
    ft_op_shape shape = op_shape(a);
    t_workspace w = t_workspace_take(FT_OP_ATTENTION_BACKWARD, &shape);
    assert_int_equal(t.ops->attention_backward(t.queue, t_view(a->dqkv), t_view(a->d_o), t_view(a->o), a->lse, t_view(a->qkv),
                                               &a->shape, &a->documents, w.data, w.bytes), FT_OK);
    t_workspace_return(w);
}

// Column of q, k or v (part 0, 1, 2) of a q head in qkv.
static int64_t column(const attention_case *c, int64_t head, int part)
{
    int64_t kv = head / (c->q_heads / c->kv_heads);
    int64_t at = part == 0 ? head : c->q_heads + (part == 2 ? c->kv_heads : 0) + kv;
    return at * c->head_dim;
}

static double dot(const attention *a, int64_t i, int64_t column_i, int64_t j, int64_t column_j)
{
    double sum = 0;
    for (int64_t e = 0; e < a->c->head_dim; e++) sum += t_at(a->qkv, i, column_i + e) * t_at(a->qkv, j, column_j + e);
    return sum;
}

// Softmax weights of row i of a document that begins at `begin`: p[0 .. i - begin]; returns the log of the sum.
static double weights_of(const attention *a, int64_t head, int64_t begin, int64_t i, double *p)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t j = begin; j <= i; j++) {
        p[j - begin] = (double)a->shape.scale * dot(a, i, column(a->c, head, 0), j, column(a->c, head, 1));
        largest = fmax(largest, p[j - begin]);
    }
    for (int64_t j = begin; j <= i; j++) sum += p[j - begin] = exp(p[j - begin] - largest);
    for (int64_t j = begin; j <= i; j++) p[j - begin] /= sum;
    return largest + log(sum);
}

typedef void row_function(attention *a, int64_t head, int64_t begin, int64_t i, const double *p, double lse, double *out);

// Calls `function` for every (head, row) with the row's weights.
static void for_rows(attention *a, row_function *function, double *out)
{
    double *p = t_doubles(a->rows);
    for (int64_t head = 0; head < a->c->q_heads; head++) {
        for (int32_t d = 0; d < a->c->n; d++) {
            for (int64_t i = a->c->begin[d]; i < a->c->begin[d + 1]; i++) {
                double lse = weights_of(a, head, a->c->begin[d], i, p);
                function(a, head, a->c->begin[d], i, p, lse, out);
            }
        }
    }
    ft_free(p);
}

static void output_row(attention *a, int64_t head, int64_t begin, int64_t i, const double *p, double lse, double *o)
{
    int64_t d = a->c->head_dim;
    assert_float_equal(a->lse[head * a->rows + i], lse, 2e-6 * (1 + fabs(lse)));
    for (int64_t j = begin; j <= i; j++) {
        for (int64_t e = 0; e < d; e++) o[i * a->o.cols + head * d + e] += p[j - begin] * t_at(a->qkv, j, column(a->c, head, 2) + e);
    }
}

// With g_j = dO . v_j: dv_j += p_j dO, ds_j = p_j (g_j - sum p g), dq += scale ds_j k_j, dk_j += scale ds_j q.
static void gradient_row(attention *a, int64_t head, int64_t begin, int64_t i, const double *p, double lse, double *gradient)
{
    int64_t d = a->c->head_dim, q = column(a->c, head, 0), k = column(a->c, head, 1), v = column(a->c, head, 2), cols = a->qkv.cols;
    double *g = t_doubles(i - begin + 1), mean = 0, scale = (double)a->shape.scale;
    for (int64_t j = begin; j <= i; j++) {
        for (int64_t e = 0; e < d; e++) g[j - begin] += t_at(a->d_o, i, head * d + e) * t_at(a->qkv, j, v + e);
        mean += p[j - begin] * g[j - begin];
    }
    for (int64_t j = begin; j <= i; j++) {
        double ds = p[j - begin] * (g[j - begin] - mean) * scale;
        for (int64_t e = 0; e < d; e++) {
            gradient[j * cols + v + e] += p[j - begin] * t_at(a->d_o, i, head * d + e);
            gradient[i * cols + q + e] += ds * t_at(a->qkv, j, k + e);
            gradient[j * cols + k + e] += ds * t_at(a->qkv, i, q + e);
        }
    }
    ft_free(g);
}

static void both_directions_match_float64(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention a = make(&cases[i]);
        double *o = t_doubles(a.rows * a.o.cols), *gradient = t_doubles(a.rows * a.qkv.cols);
        run_forward(&a);
        for_rows(&a, output_row, o);
        t_assert_close(a.o, o, ft_op_table[FT_OP_ATTENTION_FORWARD].tolerance_f32);
        run_backward(&a);
        for_rows(&a, gradient_row, gradient);
        t_assert_close(a.dqkv, gradient, ft_op_table[FT_OP_ATTENTION_BACKWARD].tolerance_f32);
        ft_free(o);
        ft_free(gradient);
        free_attention(&a);
    }
}

static void objective_row(attention *a, int64_t head, int64_t begin, int64_t i, const double *p, double lse, double *value)
{
    int64_t d = a->c->head_dim;
    for (int64_t j = begin; j <= i; j++) {
        for (int64_t e = 0; e < d; e++) {
            *value += p[j - begin] * t_at(a->qkv, j, column(a->c, head, 2) + e) * t_at(a->d_o, i, head * d + e);
        }
    }
}

static void backward_matches_finite_differences(void **state)
{
    static const attention_case small = {4, 2, 6, {0, 5, 6, 19}, 3};
    attention a = make(&small);
    run_forward(&a);
    run_backward(&a);
    double *gradient = t_doubles(a.rows * a.qkv.cols);
    for (int64_t r = 0; r < a.rows; r++) {
        for (int64_t c = 0; c < a.qkv.cols; c++) {
            float *x = &a.qkv.data[r * a.qkv.ld + c], at = *x;
            double above = 0, below = 0;
            *x = at + 0x1p-9f;
            for_rows(&a, objective_row, &above);
            double step = (double)*x;
            *x = at - 0x1p-9f;
            for_rows(&a, objective_row, &below);
            gradient[r * a.qkv.cols + c] = (above - below) / (step - (double)*x);
            *x = at;
        }
    }
    t_assert_close(a.dqkv, gradient, 1e-5);
    ft_free(gradient);
    free_attention(&a);
}

// Nothing crosses a document bound: changing one document leaves the bits of the others.
static void documents_do_not_see_each_other(void **state)
{
    attention a = make(&cases[2]), b = make(&cases[2]);
    for (int64_t r = 2; r < 131; r++) {
        for (int64_t c = 0; c < b.qkv.cols; c++) b.qkv.data[r * b.qkv.ld + c] = 1e3f * (float)(c % 3);
    }
    run_forward(&a);
    run_forward(&b);
    run_backward(&a);
    run_backward(&b);
    for (int64_t r = 0; r < a.rows; r++) {
        int same = memcmp(a.o.data + r * a.o.ld, b.o.data + r * b.o.ld, (size_t)a.o.cols * 4) == 0;
        int same_gradient = memcmp(a.dqkv.data + r * a.dqkv.ld, b.dqkv.data + r * b.dqkv.ld, (size_t)a.dqkv.cols * 4) == 0;
        assert_int_equal(same, r < 2 || r >= 131);
        assert_int_equal(same_gradient, r < 2 || r >= 131);
    }
    free_attention(&a);
    free_attention(&b);
}

// A score that leads by hundreds: the weights of the others vanish without a NaN, wherever the leader stands.
static void large_scores_do_not_overflow(void **state)
{
    static const attention_case one = {1, 1, 4, {0, 600}, 1};
    attention a = make(&one);
    for (int64_t c = 0; c < 4; c++) {
        a.qkv.data[500 * a.qkv.ld + 4 + c] = 200;
        a.qkv.data[599 * a.qkv.ld + c] = 3;
    }
    run_forward(&a);
    for (int64_t c = 0; c < 4; c++) assert_float_equal(a.o.data[599 * a.o.ld + c], a.qkv.data[500 * a.qkv.ld + 8 + c], 1e-5);
    run_backward(&a);
    for (int64_t i = 0; i < 600 * a.dqkv.ld; i++) assert_true(i % a.dqkv.ld >= 12 || isfinite(a.dqkv.data[i]));
    free_attention(&a);
}

static void one_token_matches_the_last_row(void **state)
{
    static const attention_case lengths[] = {{3, 1, 64, {0, 1}, 1}, {8, 2, 24, {0, 37}, 1}, {4, 4, 128, {0, 300}, 1}};
    for (size_t i = 0; i < 3; i++) {
        attention a = make(&lengths[i]);
        const attention_case *c = a.c;
        int64_t q_cols = c->q_heads * c->head_dim, kv_cols = c->kv_heads * c->head_dim;
        t_matrix o = t_matrix_nan(1, q_cols, 0), k = t_matrix_nan(a.rows, kv_cols, 0), v = t_matrix_nan(a.rows, kv_cols, 0);
        for (int64_t r = 0; r < a.rows; r++) {
            memcpy(k.data + r * kv_cols, a.qkv.data + r * a.qkv.ld + q_cols, (size_t)kv_cols * 4);
            memcpy(v.data + r * kv_cols, a.qkv.data + r * a.qkv.ld + q_cols + kv_cols, (size_t)kv_cols * 4);
        }
        ft_view q = t_view(a.qkv);
        q.data = a.qkv.data + (a.rows - 1) * a.qkv.ld;
        q.rows = 1;
        q.cols = q_cols;
        ft_op_shape shape = op_shape(&a);
        shape.rows = 1;
        t_workspace w = t_workspace_take(FT_OP_ATTENTION_DECODE, &shape);
        assert_int_equal(t.ops->attention_decode(t.queue, t_view(o), q, k.data, v.data, a.rows, &a.shape, w.data, w.bytes), FT_OK);
        t_workspace_return(w);
        double *expected = t_doubles(a.rows * q_cols);
        run_forward(&a);
        for_rows(&a, output_row, expected);
        t_assert_close(o, expected + (a.rows - 1) * q_cols, ft_op_table[FT_OP_ATTENTION_DECODE].tolerance_f32);
        ft_free(expected);
        t_matrix_free(o);
        t_matrix_free(k);
        t_matrix_free(v);
        free_attention(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_match_float64),
        cmocka_unit_test(backward_matches_finite_differences),
        cmocka_unit_test(documents_do_not_see_each_other),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(one_token_matches_the_last_row),
    };
    return T_GROUP(tests);
}
