// Clocked ops do what the device's do, and are counted between start and stop alone.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/rig.h"
#include "bench/timed_ops.h"
#include "common/threads.h"

enum { ROWS = 24, IN = 64, OUT = 48 };

typedef struct {
    ft_rig rig;
    ft_linear_group group;
    ft_view x, y;
    void *workspace;
    int64_t workspace_bytes;
} fixture;

static void open_fixture(fixture *f)
{
    void *weight;
    ft_op_shape shape = {.rows = ROWS, .in = IN, .out = OUT};
    assert_int_equal(ft_rig_open(&f->rig, "cpu"), FT_OK);
    assert_int_equal(ft_rig_random(&f->rig, FT_REPR_F32, IN * OUT, &weight), FT_OK);
    assert_int_equal(ft_rig_view(&f->rig, ROWS, IN, false, &f->x), FT_OK);
    assert_int_equal(ft_rig_view(&f->rig, ROWS, OUT, false, &f->y), FT_OK);
    f->workspace_bytes = ft_op_workspace(FT_OP_LINEAR_FORWARD, &shape, FT_DEVICE_CPU);
    assert_int_equal(ft_rig_zeros(&f->rig, f->workspace_bytes, &f->workspace), FT_OK);
    f->group = (ft_linear_group){.n_parts = 1, .n_weights = 1, .out = {OUT}, .weight = {{.data = weight, .repr = FT_REPR_F32, .rows = OUT, .cols = IN, .ld = IN}}};
}

static void multiply(fixture *f, const ft_ops *ops, ft_view y)
{
    ft_view none = {0};
    assert_int_equal(ops->linear_forward(f->rig.queue, &f->group, y, f->x, none, none, f->workspace, f->workspace_bytes), FT_OK);
}

static void clocked_ops_give_the_same_bits(void **state)
{
    fixture f;
    ft_view own;
    open_fixture(&f);
    assert_int_equal(ft_rig_view(&f.rig, ROWS, OUT, false, &own), FT_OK);
    multiply(&f, f.rig.ops, own);
    multiply(&f, ft_timed_ops(f.rig.ops), f.y);
    assert_memory_equal(own.data, f.y.data, ROWS * OUT * sizeof(float));
    ft_rig_close(&f.rig);
}

static void calls_are_counted_between_start_and_stop(void **state)
{
    fixture f;
    int n;
    open_fixture(&f);
    const ft_ops *ops = ft_timed_ops(f.rig.ops);
    multiply(&f, ops, f.y);
    assert_int_equal(ft_timed_start(f.rig.queue), FT_OK);
    multiply(&f, ops, f.y);
    multiply(&f, ops, f.y);
    assert_int_equal(ft_timed_stop(), FT_OK);
    multiply(&f, ops, f.y);
    const ft_timed_sum *sum = &ft_timed_sums()[FT_TIMED_LINEAR_FORWARD];
    assert_int_equal(sum->calls, 2);
    assert_true(sum->flops == 2 * 2.0 * ROWS * IN * OUT && sum->seconds > 0);
    const ft_timed_product *products = ft_timed_products(&n);
    assert_int_equal(n, 1);
    assert_true(!products[0].backward && products[0].rows == ROWS && products[0].in == IN && products[0].out == OUT && products[0].calls == 2);
    ft_timed_free();
    ft_rig_close(&f.rig);
}

static void a_copy_has_a_rate(void **state)
{
    ft_rig rig;
    double rate = 0;
    assert_int_equal(ft_rig_open(&rig, "cpu"), FT_OK);
    assert_int_equal(ft_rig_copy_rate(&rig, 1 << 20, 3, &rate), FT_OK);
    assert_true(rate > 1e7 && rate < 1e13);
    ft_rig_close(&rig);
}

int main(void)
{
    assert_int_equal(ft_threads_init(2), FT_OK);
    const struct CMUnitTest tests[] = {cmocka_unit_test(clocked_ops_give_the_same_bits), cmocka_unit_test(calls_are_counted_between_start_and_stop),
                                       cmocka_unit_test(a_copy_has_a_rate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
