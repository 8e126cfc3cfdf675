// The head: loss and gradient against float64, over chunk sizes, head types, masked rows and vocabularies beside the panel size.
#include "kernel_test.h"

typedef struct {
    int64_t rows, hidden, vocab, chunk;
    ft_dtype dtype;
    int every;  // every n-th row is masked, 0 = none
} head_case;

static const head_case cases[] = {
    {1, 1, 2, 1, FT_DTYPE_F32, 0},      {1, 64, 320, 16, FT_DTYPE_BF16, 0},   {37, 65, 511, 8, FT_DTYPE_F16, 3},
    {129, 48, 513, 50, FT_DTYPE_BF16, 2}, {40, 33, 1500, 1000, FT_DTYPE_F32, 4}, {20, 16, 2050, 7, FT_DTYPE_BF16, 5},
};

typedef struct {
    const head_case *c;
    ft_matrix head;
    t_matrix weight, x, dx, logits;  // weight: the head's values in float32
    void *codes;
    int32_t *labels;
    double nll, *dx_ref, *logits_ref;
} head;

static const double loss_scale = 0.125;

// Row r: logits, their softmax, nll and gradient.
static void reference_row(head *h, int64_t r)
{
    const head_case *c = h->c;
    double *z = h->logits_ref + r * c->vocab, largest = -INFINITY, sum = 0;
    for (int64_t v = 0; v < c->vocab; v++) {
        for (int64_t i = 0; i < c->hidden; i++) z[v] += t_at(h->x, r, i) * t_at(h->weight, v, i);
        largest = fmax(largest, z[v]);
    }
    if (h->labels[r] < 0) return;
    for (int64_t v = 0; v < c->vocab; v++) sum += exp(z[v] - largest);
    h->nll += log(sum) + largest - z[h->labels[r]];
    for (int64_t v = 0; v < c->vocab; v++) {
        double g = loss_scale * (exp(z[v] - largest) / sum - (v == h->labels[r]));
        for (int64_t i = 0; i < c->hidden; i++) h->dx_ref[r * c->hidden + i] += g * t_at(h->weight, v, i);
    }
}

static head make(const head_case *c)
{
    size_t n = (size_t)(c->vocab * c->hidden);
    head h = {.c = c, .weight = t_matrix_random(c->vocab, c->hidden, 0, 1, 0.5f), .x = t_matrix_random(c->rows, c->hidden, 3, 2, 2),
              .dx = t_matrix_nan(c->rows, c->hidden, 2), .logits = t_matrix_nan(c->rows, c->vocab, 0)};
    h.codes = ft_malloc(n * 4);
    assert_int_equal(ft_convert_from_f32(h.codes, h.weight.data, c->dtype, n), FT_OK);
    assert_int_equal(ft_convert_to_f32(h.weight.data, h.codes, c->dtype, n), FT_OK);
    h.head = (ft_matrix){.codes = h.codes, .dtype = c->dtype, .kind = FT_SCALE_NONE, .rows = c->vocab, .cols = c->hidden};
    h.labels = ft_malloc((size_t)c->rows * sizeof(int32_t));
    h.dx_ref = t_doubles(c->rows * c->hidden);
    h.logits_ref = t_doubles(c->rows * c->vocab);
    for (int64_t r = 0; r < c->rows; r++) h.labels[r] = c->every && r % c->every == 0 ? -100 : (int32_t)(r * 7919 % c->vocab);
    for (int64_t r = 0; r < c->rows; r++) reference_row(&h, r);
    return h;
}

static void free_head(head *h)
{
    t_matrix_free(h->weight);
    t_matrix_free(h->x);
    t_matrix_free(h->dx);
    t_matrix_free(h->logits);
    ft_free(h->codes);
    ft_free(h->labels);
    ft_free(h->dx_ref);
    ft_free(h->logits_ref);
}

static double run(head *h, ft_view dx, ft_head_options options)
{
    ft_op_shape shape = {.rows = h->c->rows, .in = h->c->hidden, .vocab = h->c->vocab, .chunk = options.chunk};
    t_workspace w = t_workspace_take(FT_OP_HEAD_LOSS, &shape);
    double nll = 10;  // added to
    assert_int_equal(t.ops->head_loss(t.queue, &nll, dx, t_view(h->x), &h->head, h->labels, &options, w.data, w.bytes), FT_OK);
    t_workspace_return(w);
    return nll - 10;
}

static ft_head_options training(const head *h)
{
    return (ft_head_options){.loss_scale = (float)loss_scale, .chunk = h->c->chunk, .want_gradient = true};
}

static void loss_and_gradient_match_float64(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head h = make(&cases[i]);
        double nll = run(&h, t_view(h.dx), training(&h));
        assert_true(fabs(nll - h.nll) <= 2e-6 * (fabs(h.nll) + 1));
        t_assert_close(h.dx, h.dx_ref, ft_op_table[FT_OP_HEAD_LOSS].tolerance_f32);
        free_head(&h);
    }
}

static void masked_rows_get_zero_and_do_not_count(void **state)
{
    head h = make(&cases[2]);
    double nll = run(&h, t_view(h.dx), training(&h));
    for (int64_t r = 0; r < h.c->rows; r += 3) {
        for (int64_t c = 0; c < h.c->hidden; c++) {
            assert_true(h.dx.data[r * h.dx.ld + c] == 0);
            h.x.data[r * h.x.ld + c] = NAN;  // not even read
        }
    }
    assert_true(run(&h, t_view(h.dx), training(&h)) == nll);
    for (int64_t r = 0; r < h.c->rows; r++) h.labels[r] = -100;
    assert_true(run(&h, t_view(h.dx), training(&h)) == 0);
    for (int64_t r = 0; r < h.c->rows; r++) {
        for (int64_t c = 0; c < h.c->hidden; c++) assert_true(h.dx.data[r * h.dx.ld + c] == 0);
    }
    free_head(&h);
}

static void evaluation_returns_logits_and_the_same_loss(void **state)
{
    for (size_t i = 1; i < 4; i++) {
        head h = make(&cases[i]);
        double nll = run(&h, (ft_view){0}, (ft_head_options){.chunk = h.c->chunk});
        assert_true(fabs(nll - h.nll) <= 2e-6 * h.nll);
        double with_logits = run(&h, t_view(h.dx), (ft_head_options){.loss_scale = (float)loss_scale, .chunk = h.c->chunk,
                                                                     .want_gradient = true, .logits = h.logits.data});
        assert_true(fabs(with_logits - h.nll) <= 2e-6 * h.nll);
        t_assert_close(h.logits, h.logits_ref, ft_op_table[FT_OP_HEAD_LOSS].tolerance_f32);
        t_assert_close(h.dx, h.dx_ref, ft_op_table[FT_OP_HEAD_LOSS].tolerance_f32);
        free_head(&h);
    }
}

static void dx_may_be_x(void **state)
{
    head h = make(&cases[3]);
    run(&h, t_view(h.dx), training(&h));
    run(&h, t_view(h.x), training(&h));
    for (int64_t r = 0; r < h.c->rows; r++) {
        assert_memory_equal(h.x.data + r * h.x.ld, h.dx.data + r * h.dx.ld, (size_t)h.c->hidden * 4);
    }
    free_head(&h);
}

// A certain prediction: the gradient of the label's logit is p - 1, which would cancel to 0 in float32.
static void a_certain_prediction_keeps_its_gradient(void **state)
{
    float w[2] = {0, 1}, x = 30, dx = NAN;
    int32_t label = 1;
    ft_matrix source = {.codes = w, .dtype = FT_DTYPE_F32, .kind = FT_SCALE_NONE, .rows = 2, .cols = 1};
    ft_op_shape shape = {.rows = 1, .in = 1, .vocab = 2, .chunk = 4};
    ft_view x_view = {.data = &x, .repr = FT_REPR_F32, .rows = 1, .cols = 1, .ld = 1}, dx_view = x_view;
    dx_view.data = &dx;
    t_workspace space = t_workspace_take(FT_OP_HEAD_LOSS, &shape);
    ft_head_options options = {.loss_scale = 1, .chunk = 4, .want_gradient = true};
    double nll = 0;
    assert_int_equal(t.ops->head_loss(t.queue, &nll, dx_view, x_view, &source, &label, &options, space.data, space.bytes), FT_OK);
    assert_true(fabs((double)dx / (-exp(-30) / (1 + exp(-30))) - 1) < 1e-2);
    t_workspace_return(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_gradient_match_float64),
        cmocka_unit_test(masked_rows_get_zero_and_do_not_count),
        cmocka_unit_test(evaluation_returns_logits_and_the_same_loss),
        cmocka_unit_test(dx_may_be_x),
        cmocka_unit_test(a_certain_prediction_keeps_its_gradient),
    };
    return T_GROUP(tests);
}
