// A linear group forward and backward against float64: parts stacked or separate, biases, LoRA on all or some parts with
// distinct A and ranks, a residual beside y or in it, strided views; workspaces of exactly the promised size.
#include "kernel_test.h"

typedef struct {
    int64_t rows, in;
    int n_parts;
    int64_t out[FT_LINEAR_PARTS], r[FT_LINEAR_PARTS];
    bool stacked, bias;
    enum { NONE, APART, IN_PLACE } residual;
} linear_case;

static const linear_case cases[] = {
    {1, 1, 1, {1}, {1}, true, false, NONE},
    {1, 65, 1, {130}, {4}, true, true, APART},
    {37, 129, 3, {130, 33, 33}, {4, 4, 4}, true, false, NONE},
    {129, 96, 3, {65, 31, 17}, {8, 0, 3}, false, true, IN_PLACE},
    {129, 200, 2, {300, 300}, {16, 16}, true, false, IN_PLACE},
    {37, 64, 2, {70, 70}, {0, 5}, false, false, APART},
    {129, 130, 1, {70}, {0}, true, false, APART},
};

typedef struct {
    const linear_case *c;
    ft_linear_group group;
    int64_t out, rank;
    t_matrix w, x, dy, y, dx, low_rank, d_low_rank, residual;  // w is all parts' weights, one below the other
    t_matrix a[FT_LINEAR_PARTS], b[FT_LINEAR_PARTS], da[FT_LINEAR_PARTS], db[FT_LINEAR_PARTS], bias[FT_LINEAR_PARTS];
    double *y_ref, *dx_ref, *da_ref[FT_LINEAR_PARTS], *db_ref[FT_LINEAR_PARTS];
} linear;

static void make_weights(linear *l)
{
    const linear_case *c = l->c;
    l->w = t_matrix_random(l->out, c->in, 3, 1, 1);
    l->group.n_weights = c->stacked ? 1 : c->n_parts;
    int64_t row = 0;
    for (int p = 0; p < l->group.n_weights; p++) {
        int64_t rows = c->stacked ? l->out : c->out[p];
        l->group.weight[p] = (ft_weight){.data = l->w.data + row * l->w.ld, .repr = FT_REPR_F32, .rows = rows, .cols = c->in,
                                         .ld = l->w.ld};
        row += rows;
    }
}

static void make_parts(linear *l)
{
    const linear_case *c = l->c;
    for (int p = 0; p < c->n_parts; p++) {
        uint32_t seed = 100 * (uint32_t)(p + 1);
        l->group.out[p] = c->out[p];
        l->a[p] = t_matrix_random(c->r[p], c->in, 0, seed, 1);
        l->b[p] = t_matrix_random(c->out[p], c->r[p], 0, seed + 1, 1);
        l->da[p] = t_matrix_random(c->r[p], c->in, 0, seed + 2, 1);
        l->db[p] = t_matrix_random(c->out[p], c->r[p], 0, seed + 3, 1);
        l->bias[p] = t_matrix_random(1, c->out[p], 0, seed + 4, 1);
        if (c->bias && p != 1) l->group.bias[p] = l->bias[p].data;
        l->group.lora[p] = (ft_lora){l->a[p].data, l->b[p].data, l->da[p].data, l->db[p].data, c->r[p], 0.5f * (float)(p + 1)};
    }
}

static linear make(const linear_case *c)
{
    linear l = {.c = c, .group = {.n_parts = c->n_parts}};
    for (int p = 0; p < c->n_parts; p++) {
        l.out += c->out[p];
        l.rank += c->r[p];
    }
    make_weights(&l);
    make_parts(&l);
    l.x = t_matrix_random(c->rows, c->in, 2, 2, 1);
    l.dy = t_matrix_random(c->rows, l.out, 1, 3, 1);
    if (c->residual != IN_PLACE) l.y = t_matrix_nan(c->rows, l.out, 4);
    l.dx = t_matrix_nan(c->rows, c->in, 5);
    l.residual = t_matrix_random(c->rows, l.out, 6, 4, 1);
    if (c->residual == IN_PLACE) l.y = t_matrix_random(c->rows, l.out, 4, 4, 1);
    l.low_rank = t_matrix_nan(c->rows, l.rank, 0);
    l.d_low_rank = t_matrix_nan(c->rows, l.rank, 0);
    l.y_ref = t_doubles(c->rows * l.out);
    l.dx_ref = t_doubles(c->rows * c->in);
    for (int p = 0; p < c->n_parts; p++) {
        l.da_ref[p] = t_doubles(c->r[p] * c->in);
        l.db_ref[p] = t_doubles(c->out[p] * c->r[p]);
    }
    return l;
}

static void free_linear(linear *l)
{
    const t_matrix all[] = {l->w, l->x, l->dy, l->y, l->dx, l->low_rank, l->d_low_rank, l->residual};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) t_matrix_free(all[i]);
    for (int p = 0; p < l->c->n_parts; p++) {
        const t_matrix part[] = {l->a[p], l->b[p], l->da[p], l->db[p], l->bias[p]};
        for (size_t i = 0; i < sizeof part / sizeof *part; i++) t_matrix_free(part[i]);
        ft_free(l->da_ref[p]);
        ft_free(l->db_ref[p]);
    }
    ft_free(l->y_ref);
    ft_free(l->dx_ref);
}

// One part: its rows of W start at `first`.
static void reference_part(linear *l, int p, int64_t first)
{
    const linear_case *c = l->c;
    double scale = (double)l->group.lora[p].scale;
    double *s = t_doubles(c->rows * c->r[p]), *ds = t_doubles(c->rows * c->r[p]);
    for (int64_t t_ = 0; t_ < c->rows; t_++) {
        for (int64_t k = 0; k < c->r[p]; k++) {
            for (int64_t i = 0; i < c->in; i++) s[t_ * c->r[p] + k] += t_at(l->x, t_, i) * t_at(l->a[p], k, i);
            for (int64_t o = 0; o < c->out[p]; o++) {
                ds[t_ * c->r[p] + k] += scale * t_at(l->dy, t_, first + o) * t_at(l->b[p], o, k);
            }
        }
        for (int64_t o = 0; o < c->out[p]; o++) {
            double y = l->group.bias[p] ? t_at(l->bias[p], 0, o) : 0, d = t_at(l->dy, t_, first + o);
            for (int64_t i = 0; i < c->in; i++) {
                y += t_at(l->x, t_, i) * t_at(l->w, first + o, i);
                l->dx_ref[t_ * c->in + i] += d * t_at(l->w, first + o, i);
            }
            for (int64_t k = 0; k < c->r[p]; k++) {
                y += scale * s[t_ * c->r[p] + k] * t_at(l->b[p], o, k);
                l->db_ref[p][o * c->r[p] + k] += scale * d * s[t_ * c->r[p] + k];
            }
            l->y_ref[t_ * l->out + first + o] = y;
        }
        for (int64_t k = 0; k < c->r[p]; k++) {
            for (int64_t i = 0; i < c->in; i++) {
                l->da_ref[p][k * c->in + i] += ds[t_ * c->r[p] + k] * t_at(l->x, t_, i);
                l->dx_ref[t_ * c->in + i] += ds[t_ * c->r[p] + k] * t_at(l->a[p], k, i);
            }
        }
    }
    ft_free(s);
    ft_free(ds);
}

static void add_start(double *reference, t_matrix start)
{
    for (int64_t r = 0; r < start.rows; r++) {
        for (int64_t c = 0; c < start.cols; c++) reference[r * start.cols + c] += t_at(start, r, c);
    }
}

static ft_op_shape shape_of(const linear *l)
{
    return (ft_op_shape){.rows = l->c->rows, .in = l->c->in, .out = l->out, .rank = l->rank, .parts = l->c->n_parts};
}

static void run_forward(linear *l)
{
    ft_op_shape shape = shape_of(l);
    t_workspace w = t_workspace_take(FT_OP_LINEAR_FORWARD, &shape);
    ft_view residual = {0};
    if (l->c->residual != NONE) residual = t_view(l->c->residual == APART ? l->residual : l->y);
    assert_int_equal(t.ops->linear_forward(t.queue, &l->group, t_view(l->y), t_view(l->x), residual, t_view(l->low_rank), w.data, w.bytes),
                     FT_OK);
    t_workspace_return(w);
}

static void run_backward(linear *l, ft_view dx)
{
    ft_op_shape shape = shape_of(l);
    t_workspace w = t_workspace_take(FT_OP_LINEAR_BACKWARD, &shape);
    assert_int_equal(t.ops->linear_backward(t.queue, &l->group, dx, t_view(l->dy), t_view(l->low_rank), t_view(l->d_low_rank), w.data,
                                            w.bytes), FT_OK);
    assert_int_equal(t.ops->lora_backward_a(t.queue, &l->group, t_view(l->x), t_view(l->d_low_rank), w.data, w.bytes), FT_OK);
    t_workspace_return(w);
}

static void check(const linear_case *c)
{
    linear l = make(c);
    for (int64_t p = 0, first = 0; p < c->n_parts; first += c->out[p], p++) {
        add_start(l.da_ref[p], l.da[p]);  // gradients accumulate
        add_start(l.db_ref[p], l.db[p]);
        reference_part(&l, (int)p, first);
    }
    if (c->residual != NONE) add_start(l.y_ref, l.residual);
    run_forward(&l);
    t_assert_close(l.y, l.y_ref, ft_op_table[FT_OP_LINEAR_FORWARD].tolerance_f32);
    run_backward(&l, t_view(l.dx));
    double tolerance = ft_op_table[FT_OP_LINEAR_BACKWARD].tolerance_f32;
    t_assert_close(l.dx, l.dx_ref, tolerance);
    for (int p = 0; p < c->n_parts; p++) {
        t_assert_close(l.da[p], l.da_ref[p], tolerance);
        t_assert_close(l.db[p], l.db_ref[p], tolerance);
    }
    free_linear(&l);
}

static void both_directions_match_float64(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check(&cases[i]);
}

static void the_input_gradient_may_be_skipped(void **state)
{
    linear full = make(&cases[2]), skipped = make(&cases[2]);
    run_forward(&full);
    run_forward(&skipped);
    run_backward(&full, t_view(full.dx));
    run_backward(&skipped, (ft_view){0});
    for (int p = 0; p < 3; p++) {
        t_assert_same_bits(full.da[p], skipped.da[p]);
        t_assert_same_bits(full.db[p], skipped.db[p]);
    }
    free_linear(&full);
    free_linear(&skipped);
}

static void stacked_and_separate_weights_agree(void **state)
{
    linear_case separate = cases[2];
    separate.stacked = false;
    linear one = make(&cases[2]), three = make(&separate);
    run_forward(&one);
    run_forward(&three);
    double *y = t_doubles(one.y.rows * one.y.cols);
    add_start(y, one.y);
    t_assert_close(three.y, y, 1e-6);
    ft_free(y);
    free_linear(&one);
    free_linear(&three);
}

static void forward_only_leaves_gradients_alone(void **state)
{
    linear l = make(&cases[2]);
    run_forward(&l);
    for (int p = 0; p < 3; p++) l.group.lora[p].da = l.group.lora[p].db = NULL;
    run_backward(&l, t_view(l.dx));
    for (int p = 0; p < 3; p++) {
        t_matrix fresh = t_matrix_random(l.da[p].rows, l.da[p].cols, 0, 100 * (uint32_t)(p + 1) + 2, 1);
        t_assert_same_bits(l.da[p], fresh);
        t_matrix_free(fresh);
    }
    free_linear(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_match_float64),
        cmocka_unit_test(the_input_gradient_may_be_skipped),
        cmocka_unit_test(stacked_and_separate_weights_agree),
        cmocka_unit_test(forward_only_leaves_gradients_alone),
    };
    return T_GROUP(tests);
}
