// An arena hands out aligned pieces of its block, never touches the bytes, and asserts when the plan was wrong.
#include "t_common.h"

#include "common/memory.h"

static _Alignas(FT_ARENA_ALIGN) char block[4096];

static void pieces_are_aligned_disjoint_and_in_order(void **state)
{
    (void)state;
    ft_arena arena;
    ft_arena_init(&arena, "test", block, sizeof block);
    assert_ptr_equal(ft_arena_take(&arena, 1), block);
    assert_ptr_equal(ft_arena_take(&arena, 256), block + 256);
    assert_ptr_equal(ft_arena_take(&arena, 257), block + 512);
    assert_ptr_equal(ft_arena_take(&arena, 0), block + 1024);
    assert_int_equal(arena.used, 1024);
    assert_int_equal(ft_arena_round(0), 0);
    assert_int_equal(ft_arena_round(257), 512);
}

static void try_refuses_what_does_not_fit_and_keeps_the_rest(void **state)
{
    (void)state;
    ft_arena arena;
    ft_arena_init(&arena, "test", block, 1000);
    assert_non_null(ft_arena_try(&arena, 700));
    assert_null(ft_arena_try(&arena, 1));
    assert_null(ft_arena_try(&arena, (size_t)1 << 62));
    assert_int_equal(arena.used, 768);
}

static void reset_reuses_the_block_and_keeps_the_peak(void **state)
{
    (void)state;
    ft_arena arena;
    ft_arena_init(&arena, "test", block, sizeof block);
    ft_arena_take(&arena, 2000);
    ft_arena_reset(&arena);
    assert_ptr_equal(ft_arena_take(&arena, 100), block);
    assert_int_equal(arena.peak, 2048);
}

// As a device address would be: nothing may be read or written there.
static void the_block_is_never_touched(void **state)
{
    (void)state;
    ft_arena arena;
    char *base = (char *)(uintptr_t)0x10000;
    ft_arena_init(&arena, "device", base, 1 << 20);
    assert_ptr_equal(ft_arena_take(&arena, 1000), base);
    assert_ptr_equal(ft_arena_take(&arena, 1000), base + 1024);
}

static void take_too_much(void)
{
    ft_arena arena;
    ft_arena_init(&arena, "test", block, 512);
    ft_arena_take(&arena, 513);
}

static void init_unaligned(void)
{
    ft_arena arena;
    ft_arena_init(&arena, "test", block + 1, 512);
}

static void running_out_and_a_bad_block_assert(void **state)
{
    (void)state;
    assert_true(t_aborts(take_too_much));
    assert_true(t_aborts(init_unaligned));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_disjoint_and_in_order),
        cmocka_unit_test(try_refuses_what_does_not_fit_and_keeps_the_rest),
        cmocka_unit_test(reset_reuses_the_block_and_keeps_the_peak),
        cmocka_unit_test(the_block_is_never_touched),
        cmocka_unit_test(running_out_and_a_bad_block_assert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
