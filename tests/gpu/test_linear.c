// linear_forward, linear_backward and lora_backward_a with bf16 weights against float64.
#include "gpu/linear_check.h"

// One to three parts, ranks that do and do not fill the fold, rows short of every tile and beyond it, features that are
// multiples of 8 alone.
static const linear_case cases[] = {
    {.rows = 1, .in = 64, .n_parts = 1, .out = {72}, .r = {8}},
    {.rows = 130, .in = 264, .n_parts = 1, .out = {136}},
    {.rows = 33, .in = 128, .n_parts = 1, .out = {200}, .bias = {true}, .residual = RESIDUAL},
    {.rows = 300, .in = 384, .n_parts = 3, .out = {256, 128, 128}, .r = {16, 16, 16}, .bias = {true, true, true}},
    {.rows = 77, .in = 136, .n_parts = 3, .out = {128, 64, 64}, .r = {64, 0, 16}, .bias = {false, true, false}},
    {.rows = 64, .in = 256, .n_parts = 2, .out = {192, 192}, .r = {8, 64}},
    {.rows = 128, .in = 512, .n_parts = 1, .out = {256}, .r = {64}, .residual = RESIDUAL_IS_Y},
    {.rows = 190, .in = 192, .n_parts = 1, .out = {320}, .r = {16}, .residual = RESIDUAL},
    {.rows = 100, .in = 136, .n_parts = 2, .out = {104, 56}, .r = {16, 8}, .dropout = 0.25f},
    {.rows = 17, .in = 256, .n_parts = 3, .out = {128, 64, 64}, .r = {8, 8, 8}, .bias = {true, true, true}, .residual = RESIDUAL_IS_Y,
     .dropout = 0.5f},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void forward_of_bf16_weights_carries_lora_bias_and_residual(void **state)
{
    t_open(&(ft_ops_options){.rows = 512, .train = true});
    for (int i = 0; i < CASES; i++) linear_check_forward(&cases[i]);
}

static void backward_of_bf16_weights_gives_dx_and_adapter_gradients(void **state)
{
    t_open(&(ft_ops_options){.rows = 512, .train = true});
    for (int i = 0; i < CASES; i++) linear_check_backward(&cases[i]);
}

// An inference pass keeps nothing: no low_rank view.
static void forward_needs_no_view_for_s(void **state)
{
    linear_test t;
    const linear_case *c = &cases[3];
    t_open(&(ft_ops_options){.rows = 512});
    linear_test_init(&t, c);
    int64_t bytes = linear_workspace_bytes(&t, FT_OP_LINEAR_FORWARD), n = c->rows * t.out;
    ft_view x = linear_view(&t, t.x, c->in, c->in + t.fold), none = {0};
    ft_view y = linear_bf16_view(t_device(t.room * t.out * 2), c->rows, t.out, t.out);
    linear_must(t_ops()->linear_forward(t_queue(), &t.group, y, x, none, none, t_device(bytes), bytes), t.text);
    linear_check(&t, "y", t_download_bf16(y.data, n), linear_want_y(&t, linear_low_rank(&t, linear_dropped(&t))), n,
                 ft_op_table[FT_OP_LINEAR_FORWARD].tolerance_bf16);
    linear_test_free(&t);
}

// Without dx only S, dS and dB are made: the first layer's case.
static void backward_without_dx_still_gives_db(void **state)
{
    linear_test t;
    const linear_case *c = &cases[5];
    t_open(&(ft_ops_options){.rows = 512, .train = true});
    linear_test_init(&t, c);
    int64_t bytes = linear_workspace_bytes(&t, FT_OP_LINEAR_BACKWARD);
    void *workspace = t_device(bytes);
    ft_view x = linear_view(&t, t.x, c->in, c->in + t.fold), dy = linear_view(&t, t.dy, t.out, t.out + t.fold), none = {0};
    ft_view low_rank = linear_bf16_view(t_device(t.room * t.fold * 2), c->rows, t.fold, t.fold);
    ft_view d_low_rank = linear_bf16_view((ft_bf16 *)dy.data + t.out, c->rows, t.fold, dy.ld);
    int64_t forward_bytes = linear_workspace_bytes(&t, FT_OP_LINEAR_FORWARD);
    linear_must(t_ops()->linear_forward(t_queue(), &t.group, none, x, none, low_rank, t_device(forward_bytes), forward_bytes), t.text);
    linear_upload_gradients(&t);
    linear_must(t_ops()->linear_backward(t_queue(), &t.group, none, dy, low_rank, d_low_rank, workspace, bytes), t.text);
    double *s = linear_low_rank(&t, linear_dropped(&t)), *wide = linear_doubles(&t, t.dy, c->rows * t.out);
    double *want = linear_want_gradient(&t, t.db[0], (double)t.group.lora[0].scale, wide, c->out[0], t.out, s, c->r[0], t.rank);
    linear_check(&t, "dB", linear_download(&t, t.group.lora[0].db, c->out[0] * c->r[0]), want, c->out[0] * c->r[0],
                 ft_op_table[FT_OP_LINEAR_BACKWARD].tolerance_bf16);
    linear_test_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_of_bf16_weights_carries_lora_bias_and_residual),
        cmocka_unit_test(backward_of_bf16_weights_gives_dx_and_adapter_gradients),
        cmocka_unit_test(forward_needs_no_view_for_s),
        cmocka_unit_test(backward_without_dx_still_gives_db),
    };
    return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
