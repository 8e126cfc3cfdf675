// One small layer, forward and backward through every op that splits work: the same bits again, and with any number of threads.
#include "kernel_test.h"

enum { ROWS = 300, HIDDEN = 96, HEADS = 3, KV = 1, D = 32, QKV = (HEADS + 2 * KV) * D, FFN = 160, VOCAB = 700, R = 4, KEPT = 7 };

static const int32_t begin[] = {0, 190, 191, 300};

// What a pass leaves behind, in the order it is made.
typedef struct {
    t_matrix kept[KEPT];
    double nll, squares;
} outcome;

typedef struct {
    ft_linear_group group;
    t_matrix w, a, b, da, db, s, ds;
} lora_linear;

static lora_linear make_linear(int64_t out, int64_t in, uint32_t seed)
{
    lora_linear l = {.w = t_matrix_random(out, in, 0, seed, 0.1f), .a = t_matrix_random(R, in, 0, seed + 1, 0.1f),
                     .b = t_matrix_random(out, R, 0, seed + 2, 0.1f), .da = t_matrix_nan(R, in, 0), .db = t_matrix_nan(out, R, 0),
                     .s = t_matrix_nan(ROWS, R, 0), .ds = t_matrix_nan(ROWS, R, 0)};
    memset(l.da.data, 0, (size_t)(R * in) * 4);
    memset(l.db.data, 0, (size_t)(out * R) * 4);
    l.group = (ft_linear_group){.n_parts = 1, .out = {out}, .n_weights = 1, .dropout = {.p = 0.1f, .seed = 5}};
    l.group.weight[0] = (ft_weight){.data = l.w.data, .repr = FT_REPR_F32, .rows = out, .cols = in, .ld = in};
    l.group.lora[0] = (ft_lora){l.a.data, l.b.data, l.da.data, l.db.data, R, 1};
    return l;
}

static void free_weights(lora_linear *l)
{
    t_matrix_free(l->w);
    t_matrix_free(l->a);
    t_matrix_free(l->b);
    t_matrix_free(l->s);
    t_matrix_free(l->ds);
}

static void both_ways(lora_linear *l, t_matrix y, t_matrix x, t_matrix dy, t_matrix dx)
{
    ft_op_shape shape = {.rows = ROWS, .in = x.cols, .out = y.cols, .rank = R, .parts = 1, .dropout = true};
    t_workspace w = t_workspace_take(FT_OP_LINEAR_BACKWARD, &shape);
    const ft_view none = {0};
    if (dy.data == NULL) {
        t.ops->linear_forward(t.queue, &l->group, t_view(y), t_view(x), none, t_view(l->s), w.data, w.bytes);
    } else {
        t.ops->linear_backward(t.queue, &l->group, t_view(dx), t_view(dy), t_view(l->s), t_view(l->ds), w.data, w.bytes);
        t.ops->lora_backward_a(t.queue, &l->group, t_view(x), t_view(l->ds), w.data, w.bytes);
    }
    t_workspace_return(w);
}

static void attend(t_matrix o, float *lse, t_matrix qkv, t_matrix d_o, t_matrix dqkv)
{
    ft_attention shape = {HEADS, KV, D, 0.17f};
    ft_documents documents = {.begin = begin, .n = 3, .max_length = 190};
    ft_op_shape op = {.rows = ROWS, .q_heads = HEADS, .kv_heads = KV, .head_dim = D, .max_length = 190};
    t_workspace w = t_workspace_take(FT_OP_ATTENTION_BACKWARD, &op);
    t.ops->attention_forward(t.queue, t_view(o), lse, t_view(qkv), &shape, &documents, w.data, w.bytes);
    t.ops->attention_backward(t.queue, t_view(dqkv), t_view(d_o), t_view(o), lse, t_view(qkv), &shape, &documents, w.data, w.bytes);
    t_workspace_return(w);
}

static double lose(t_matrix dx, t_matrix x)
{
    t_matrix weight = t_matrix_random(VOCAB, HIDDEN, 0, 70, 0.2f);
    ft_matrix head = {.codes = weight.data, .dtype = FT_DTYPE_F32, .kind = FT_SCALE_NONE, .rows = VOCAB, .cols = HIDDEN};
    ft_head_options options = {.loss_scale = 1, .chunk = 128, .want_gradient = true};
    ft_op_shape shape = {.rows = ROWS, .in = HIDDEN, .vocab = VOCAB, .chunk = 128};
    t_workspace w = t_workspace_take(FT_OP_HEAD_LOSS, &shape);
    int32_t labels[ROWS];
    double nll = 0;
    for (int i = 0; i < ROWS; i++) labels[i] = i % 5 == 0 ? -100 : i * 31 % VOCAB;
    t.ops->head_loss(t.queue, &nll, t_view(dx), t_view(x), &head, labels, &options, w.data, w.bytes);
    t_workspace_return(w);
    t_matrix_free(weight);
    return nll;
}

static outcome run(void)
{
    lora_linear qkv_linear = make_linear(QKV, HIDDEN, 10), down = make_linear(HIDDEN, FFN, 20);
    t_matrix x = t_matrix_random(ROWS, HIDDEN, 0, 1, 1), gate_up = t_matrix_random(ROWS, 2 * FFN, 0, 2, 1);
    t_matrix d_o = t_matrix_random(ROWS, HEADS * D, 0, 3, 1);
    t_matrix qkv = t_matrix_nan(ROWS, QKV, 0), o = t_matrix_nan(ROWS, HEADS * D, 0), dqkv = t_matrix_nan(ROWS, QKV, 0);
    t_matrix c = t_matrix_nan(ROWS, FFN, 0), h = t_matrix_nan(ROWS, HIDDEN, 0), dh = t_matrix_nan(ROWS, HIDDEN, 0);
    t_matrix dc = t_matrix_nan(ROWS, FFN, 0), dx = t_matrix_nan(ROWS, HIDDEN, 0);
    float lse[ROWS * HEADS];
    both_ways(&qkv_linear, qkv, x, (t_matrix){0}, (t_matrix){0});
    attend(o, lse, qkv, d_o, dqkv);
    t.ops->swiglu_forward(t.queue, t_view(c), t_view(gate_up));
    both_ways(&down, h, c, (t_matrix){0}, (t_matrix){0});
    outcome result = {.nll = lose(dh, h)};
    both_ways(&down, h, c, dh, dc);
    t.ops->swiglu_backward(t.queue, t_view(gate_up), t_view(c), t_view(dc), t_view(gate_up));
    both_ways(&qkv_linear, qkv, x, dqkv, dx);
    ft_op_shape flat = {.n = ROWS * 2 * FFN};
    t_workspace w = t_workspace_take(FT_OP_CLIP, &flat);
    ft_clip clip;
    t.ops->clip(t.queue, &clip, gate_up.data, flat.n, 1, w.data, w.bytes);
    result.squares = clip.sum_squares;
    t_workspace_return(w);
    const t_matrix kept[KEPT] = {o, gate_up, dx, qkv_linear.da, qkv_linear.db, down.da, down.db};
    memcpy(result.kept, kept, sizeof kept);
    const t_matrix gone[] = {x, d_o, qkv, dqkv, c, h, dh, dc};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) t_matrix_free(gone[i]);
    free_weights(&qkv_linear);
    free_weights(&down);
    return result;
}

static void bits_are_the_same_again_and_with_any_number_of_threads(void **state)
{
    static const int threads[] = {2, 1, 3, 7};
    outcome first = run();
    assert_true(first.nll > 0 && isfinite(first.nll) && first.squares > 0 && isfinite(first.squares));
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        ft_threads_shutdown();
        assert_int_equal(ft_threads_init(threads[i]), FT_OK);
        outcome again = run();
        assert_memory_equal(&again.nll, &first.nll, sizeof(double));
        assert_memory_equal(&again.squares, &first.squares, sizeof(double));
        for (int k = 0; k < KEPT; k++) {
            t_assert_same_bits(again.kept[k], first.kept[k]);
            t_matrix_free(again.kept[k]);
        }
    }
    for (int k = 0; k < KEPT; k++) t_matrix_free(first.kept[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_are_the_same_again_and_with_any_number_of_threads)};
    return T_GROUP(tests);
}
