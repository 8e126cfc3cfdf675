// How a source's files may differ from the plain case: where data starts, how layers lie in shards, which heads the tensors hold.
#include "offload/store_support.h"

// The format aligns data to 8 bytes only, and files exist that do not even do that.
static void data_may_start_anywhere(void **state)
{
    static const int spaces[] = {8, 24, 1, 4093};
    site s;
    char *data[SITE_DRIVES];
    size_t bytes[SITE_DRIVES];
    site_open_on_disk(&s, 2);
    ft_test_model model = site_model();
    model.vector_dtype = FT_DTYPE_F32;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    site_save_data(&s, data, bytes);
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        model.header_spaces = spaces[i];
        assert_ok(ft_test_model_write(&model, s.model));
        assert_ok(ft_store_prepare(s.model, &s.options, NULL));
        site_assert_data(&s, data, bytes);
    }
    site_free_data(&s, data);
    site_close(&s);
}

// With 5 shards every layer lies in two or more, and one shard in the middle of a layer's q, k and v.
static void shards_may_cut_layers_anywhere(void **state)
{
    site s;
    char *data[SITE_DRIVES];
    size_t bytes[SITE_DRIVES];
    site_open(&s, 1);
    ft_test_model model = site_model();
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    site_save_data(&s, data, bytes);
    for (model.shards = 2; model.shards <= 7; model.shards++) {
        site_clear_drives(&s);
        assert_ok(ft_remove_tree(s.model));
        assert_ok(ft_make_directories(s.model));
        assert_ok(ft_test_model_write(&model, s.model));
        assert_ok(ft_store_prepare(s.model, &s.options, NULL));
        site_assert_data(&s, data, bytes);
    }
    site_free_data(&s, data);
    site_close(&s);
}

static void refuse_heads(int64_t tensors, int64_t config, const char *const words[4])
{
    site s;
    site_open(&s, 1);
    ft_test_model model = site_model();
    model.q_heads = 4;
    model.kv_heads = tensors;
    model.config_kv_heads = config;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_INPUT, "layers.0.self_attn.k_proj.weight");
    for (int i = 0; i < 4; i++)
        if (strstr(ft_error_message(), words[i]) == NULL) fail_msg("'%s' does not say '%s'", ft_error_message(), words[i]);
    site_close(&s);
}

// Llama 3.1 405B of July 2024: 16 heads in the tensors, 8 in the config of a later revision, or the other way round.
static void another_number_of_kv_heads_is_explained(void **state)
{
    refuse_heads(2, 1, (const char *const[]){"256 rows, 2 key-value heads of 128", "num_key_value_heads 1:", "stores each of its 8 heads twice",
                                             "set num_key_value_heads to 2"});
    refuse_heads(1, 2, (const char *const[]){"128 rows, 1 key-value heads of 128", "num_key_value_heads 2:", "stores each of its 8 heads twice",
                                             "set num_key_value_heads to 1"});
    refuse_heads(1, 4, (const char *const[]){"128 rows, 1 key-value heads of 128", "num_key_value_heads 4:", "of different uploads; take",
                                             "set num_key_value_heads to 1"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_may_start_anywhere),
        cmocka_unit_test(shards_may_cut_layers_anywhere),
        cmocka_unit_test(another_number_of_kv_heads_is_explained),
    };
    site_prefer_memory();
    ft_log_set_level(FT_LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
