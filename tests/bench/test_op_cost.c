// What a benchmark counts: FLOPs that agree with the op table's, and activation bytes worked out by hand.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/op_cost.h"

enum { ROWS = 96, IN = 256, OUT = 128, RANK = 16 };

static ft_linear_group group_of(int parts, int64_t rank)
{
    ft_linear_group group = {.n_parts = parts, .n_weights = 1, .weight[0] = {.repr = FT_REPR_BF16, .rows = parts * OUT, .cols = IN}};
    for (int part = 0; part < parts; part++) {
        group.out[part] = OUT;
        group.lora[part].r = rank;
    }
    return group;
}

static void linear_flops_are_those_of_the_op_table(void **state)
{
    for (int parts = 1; parts <= 3; parts += 2) {
        ft_linear_group group = group_of(parts, RANK);
        ft_op_shape shape = {.rows = ROWS, .in = IN, .out = parts * OUT, .rank = parts * RANK, .parts = parts};
        double forward = ft_cost_linear_flops(&group, ROWS, IN, FT_COST_FORWARD, true);
        double backward = ft_cost_linear_flops(&group, ROWS, IN, FT_COST_BACKWARD, true) +
                          ft_cost_linear_flops(&group, ROWS, IN, FT_COST_BACKWARD_A, false);
        assert_true(forward == ft_op_table[FT_OP_LINEAR_FORWARD].flops(&shape));
        assert_true(backward == ft_op_table[FT_OP_LINEAR_BACKWARD].flops(&shape));
    }
}

static void a_call_without_its_product_counts_the_low_rank_ones(void **state)
{
    ft_linear_group group = group_of(1, RANK);
    assert_true(ft_cost_linear_flops(&group, ROWS, IN, FT_COST_FORWARD, false) == 2.0 * ROWS * RANK * IN);
    assert_true(ft_cost_linear_flops(&group, ROWS, IN, FT_COST_BACKWARD, false) == 4.0 * ROWS * RANK * OUT);
}

static void attention_counts_pairs_inside_documents(void **state)
{
    const int32_t one[] = {0, 64}, two[] = {0, 24, 64};
    ft_attention shape = {.q_heads = 4, .kv_heads = 2, .head_dim = 32};
    ft_op_shape op = {.rows = 64, .q_heads = 4, .kv_heads = 2, .head_dim = 32, .max_length = 64};
    assert_true(ft_cost_attention_flops(&shape, &(ft_documents){.begin = one, .n = 1}, 2) == ft_op_table[FT_OP_ATTENTION_FORWARD].flops(&op));
    assert_true(ft_cost_attention_flops(&shape, &(ft_documents){.begin = one, .n = 1}, 5) == ft_op_table[FT_OP_ATTENTION_BACKWARD].flops(&op));
    double pairs = 24 * 25 / 2 + 40 * 41 / 2;
    assert_true(ft_cost_attention_flops(&shape, &(ft_documents){.begin = two, .n = 2}, 2) == 4 * pairs * 4 * 32);
}

static void twins_are_written_beside_their_view(void **state)
{
    char memory[1];
    ft_view view = {.data = memory, .repr = FT_REPR_BF16, .rows = ROWS, .cols = IN, .ld = IN + 64}, none = {.rows = ROWS, .cols = IN};
    assert_true(ft_cost_read(view) == 2.0 * ROWS * IN && ft_cost_write(view) == 2.0 * ROWS * IN);
    assert_true(ft_cost_read(none) == 0 && ft_cost_write(none) == 0);
    view.codes = (uint8_t *)memory;
    assert_true(ft_cost_write(view) == 3.0 * ROWS * IN + 4.0 * ROWS * IN / 128);
}

static void linears_move_what_lora_and_quantizing_add(void **state)
{
    char memory[1];
    ft_view x = {.data = memory, .repr = FT_REPR_BF16, .rows = ROWS, .cols = IN, .ld = IN};
    ft_linear_group plain = group_of(1, 0), adapted = group_of(1, RANK), quantized = group_of(1, RANK);
    quantized.weight[0].repr = FT_REPR_E4M3;
    assert_true(ft_cost_linear_bytes(&plain, x) == 0);
    assert_true(ft_cost_linear_bytes(&adapted, x) == 2.0 * ROWS * IN);
    assert_true(ft_cost_linear_bytes(&quantized, x) == 5.0 * ROWS * IN);
    x.codes = (uint8_t *)memory;
    assert_true(ft_cost_linear_bytes(&quantized, x) == 2.0 * ROWS * IN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_flops_are_those_of_the_op_table), cmocka_unit_test(a_call_without_its_product_counts_the_low_rank_ones),
        cmocka_unit_test(attention_counts_pairs_inside_documents), cmocka_unit_test(twins_are_written_beside_their_view),
        cmocka_unit_test(linears_move_what_lora_and_quantizing_add)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
