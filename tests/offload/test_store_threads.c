// The number of threads changes neither the bytes nor the error that is reported.
#include "offload/store_support.h"

#include <math.h>

#include "common/threads.h"

static void threads_change_nothing(void **state)
{
    site s;
    char *data[SITE_DRIVES];
    size_t bytes[SITE_DRIVES];
    ft_test_model model = {.hidden = 512, .ffn = 1408, .layers = 2, .q_heads = 4, .kv_heads = 2, .head_dim = 128, .vocab = 2000,
                           .dtype = FT_DTYPE_F32, .seed = 3};
    site_open(&s, 2);
    assert_ok(ft_test_model_write(&model, s.model));
    for (ft_base_format format = FT_BASE_FP8; format <= FT_BASE_BF16; format++) {
        s.options.format = format;
        assert_ok(ft_store_prepare(s.model, &s.options, NULL));
        ft_store *store = site_open_store(&s);
        double error = store->relative_error;
        ft_store_close(store);
        site_save_data(&s, data, bytes);
        site_clear_drives(&s);
        assert_ok(ft_threads_init(4));
        assert_ok(ft_store_prepare(s.model, &s.options, NULL));
        ft_threads_shutdown();
        site_assert_data(&s, data, bytes);
        store = site_open_store(&s);
        assert_true(store->relative_error == error && error > 0);
        ft_store_close(store);
        site_free_data(&s, data);
        site_clear_drives(&s);
    }
    site_close(&s);
}

static void a_bad_value_is_named_by_any_number_of_threads(void **state)
{
    site s;
    ft_test_model model = {.hidden = 512, .ffn = 1024, .layers = 1, .q_heads = 4, .kv_heads = 4, .head_dim = 128, .vocab = 256,
                           .dtype = FT_DTYPE_F16, .seed = 4, .spoil = "model.layers.0.mlp.down_proj.weight",
                           .spoil_index = 500 * 1024 + 1000, .spoil_value = NAN};
    site_open(&s, 1);
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_threads_init(4));
    for (int round = 0; round < 5; round++)
        assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_NUMERIC, "down_proj.weight: value nan at row 500, column 1000");
    ft_threads_shutdown();
    site_close(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(a_bad_value_is_named_by_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
