// The op table: a complete row for every op, closed forms that are never negative and grow with the shape, and FLOPs and bytes that
// match numbers worked out by hand for Llama 3.1 8B.
#include "kernel_test.h"

static const ft_op_shape shapes[] = {
    {.rows = 1, .in = 1, .out = 1, .rank = 1, .q_heads = 1, .kv_heads = 1, .head_dim = 2, .max_length = 1, .vocab = 2, .chunk = 1, .n = 1},
    {.rows = 37, .in = 65, .out = 129, .rank = 12, .parts = 3, .q_heads = 3, .kv_heads = 1, .head_dim = 64, .max_length = 37,
     .vocab = 320, .chunk = 16, .n = 4097, .dropout = true},
    {.rows = 4096, .in = 4096, .out = 6144, .rank = 48, .parts = 3, .q_heads = 32, .kv_heads = 8, .head_dim = 128, .max_length = 4096,
     .vocab = 128256, .chunk = 1024, .n = 41943040, .dropout = true},
};

static void every_op_has_a_complete_row(void **state)
{
    for (int op = 0; op < FT_OP_COUNT; op++) {
        const ft_op_info *row = &ft_op_table[op];
        assert_int_equal(row->op, op);
        assert_true(row->name != NULL && strlen(row->name) > 3);
        assert_true(row->tolerance_f32 > 0 && row->tolerance_bf16 >= row->tolerance_f32);
        assert_true(row->tolerance_fp8 == 0 || row->tolerance_fp8 > row->tolerance_bf16);
        assert_true(row->workspace != NULL && row->flops != NULL && row->bytes != NULL);
        for (int other = 0; other < op; other++) assert_string_not_equal(row->name, ft_op_table[other].name);
    }
}

static void closed_forms_are_sane_and_grow(void **state)
{
    static const ft_device_kind kinds[] = {FT_DEVICE_CPU, FT_DEVICE_CUDA};
    for (int op = 0; op < FT_OP_COUNT; op++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            for (size_t k = 0; k < 2; k++) {
                int64_t bytes = ft_op_workspace((ft_op)op, &shapes[s], kinds[k]);
                assert_true(bytes >= 0 && bytes % FT_ARENA_ALIGN == 0);
                if (s > 0) assert_true(bytes >= ft_op_workspace((ft_op)op, &shapes[s - 1], kinds[k]));
            }
            assert_true(ft_op_table[op].flops(&shapes[s]) > 0);
            assert_true(ft_op_table[op].bytes(&shapes[s], FT_REPR_F32) >= ft_op_table[op].bytes(&shapes[s], FT_REPR_BF16));
        }
    }
}

static void flops_match_hand_tables(void **state)
{
    const ft_op_shape *s = &shapes[2];
    double base = 2.0 * 4096 * 4096 * 6144, lora = 2.0 * 4096 * (48.0 * 4096 + 16.0 * 6144);
    assert_true(ft_op_table[FT_OP_LINEAR_FORWARD].flops(s) == base + lora);
    assert_true(ft_op_table[FT_OP_LINEAR_BACKWARD].flops(s) == base + 2 * lora);
    // Causal: 2 products x 2 x 4096 queries x 2048.5 keys x 32 heads x 128.
    assert_true(ft_op_table[FT_OP_ATTENTION_FORWARD].flops(s) == 4.0 * 4096 * 2048.5 * 4096);
    assert_true(ft_op_table[FT_OP_ATTENTION_BACKWARD].flops(s) == 10.0 * 4096 * 2048.5 * 4096);
    assert_true(ft_op_table[FT_OP_HEAD_LOSS].flops(s) == 4096.0 * 128256 * (4 * 4096 + 4));
    assert_true(ft_op_table[FT_OP_ADAMW].bytes(s, FT_REPR_BF16) == 28.0 * 41943040);
    assert_true(ft_op_table[FT_OP_WEIGHT_PREPARE].bytes(s, FT_REPR_BF16) == 3.0 * 4096 * 6144);
}

static void workspaces_match_hand_tables(void **state)
{
    const ft_op_shape *s = &shapes[2];
    // dropout(x) forward; dropout's share of dx, or dropout(x), backward; D and dK, dV per q head; logits, gathered rows, panel, nll and row numbers.
    assert_int_equal(ft_op_workspace(FT_OP_LINEAR_FORWARD, s, FT_DEVICE_CPU), 4096LL * 4096 * 4);
    assert_int_equal(ft_op_workspace(FT_OP_LINEAR_BACKWARD, s, FT_DEVICE_CPU), 4096LL * 4096 * 4);
    assert_int_equal(ft_op_workspace(FT_OP_ATTENTION_FORWARD, s, FT_DEVICE_CPU), 0);
    assert_int_equal(ft_op_workspace(FT_OP_ATTENTION_BACKWARD, s, FT_DEVICE_CPU), 4096LL * 32 * (2 * 128 + 1) * 4);
    assert_int_equal(ft_op_workspace(FT_OP_HEAD_LOSS, s, FT_DEVICE_CPU), 1024LL * (128256 + 4096) * 4 + 512LL * 4096 * 4 + 1024 * 16);
}

static void kinds_without_kernels_give_null(void **state)
{
    assert_non_null(ft_ops_for(FT_DEVICE_CPU));
    assert_int_equal(ft_ops_for(FT_DEVICE_CPU)->kind, FT_DEVICE_CPU);
    const ft_ops *cuda = ft_ops_for(FT_DEVICE_CUDA);
    assert_true(cuda == NULL || cuda->kind == FT_DEVICE_CUDA);
}

// A device implements every member.
static void the_cpu_implements_every_op(void **state)
{
    const ft_ops *ops = ft_ops_for(FT_DEVICE_CPU);
    const char *member = (const char *)ops + offsetof(ft_ops, weight_prepare);
    for (; member < (const char *)(ops + 1); member += sizeof(void *)) {
        void *function;
        memcpy(&function, member, sizeof function);
        assert_non_null(function);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_a_complete_row),
        cmocka_unit_test(closed_forms_are_sane_and_grow),
        cmocka_unit_test(flops_match_hand_tables),
        cmocka_unit_test(workspaces_match_hand_tables),
        cmocka_unit_test(kinds_without_kernels_give_null),
        cmocka_unit_test(the_cpu_implements_every_op),
    };
    return T_GROUP(tests);
}
