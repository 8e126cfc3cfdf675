// The probe of a store's drives: as much in flight as the streamer keeps, every drive at once, and rates a drive can have.
#include "offload/machine_internal.h"
#include "offload/store_random.h"
#include "offload/streamer.h"
#include "store_support.h"

// 68 MB of layers in bf16: more stripes than a window on one drive, fewer on each of four.
#define CONFIG "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":1024,\"intermediate_size\":2816," \
               "\"num_hidden_layers\":3,\"num_attention_heads\":8,\"num_key_value_heads\":4,\"vocab_size\":1000," \
               "\"max_position_embeddings\":2048,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"hidden_act\":\"silu\"," \
               "\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\"}"

static int64_t stripes_of(const ft_store *store, int drive)
{
    int64_t n = 0;
    for (int64_t i = 0; i < store->n_stripes; i++) n += store->stripe[i].drive == (uint32_t)drive;
    return n;
}

static int64_t requests_of(const ft_store *store, int drive)
{
    ft_drive_stats stats;
    ft_drive_get_stats(store->drive[drive], &stats);
    return stats.requests;
}

// Of one byte a drive all requests are those of the first window.
static void check_window(ft_store *store, int n_drives)
{
    ft_machine machine = {.source = "probed, drives assumed"};
    int64_t before[SITE_DRIVES];
    for (int i = 0; i < n_drives; i++) before[i] = requests_of(store, i);
    assert_ok(ft_machine_read_store(&machine, store, 1, 1.0));
    for (int i = 0; i < n_drives; i++) {
        int64_t there = stripes_of(store, i);
        assert_int_equal(requests_of(store, i) - before[i], there < FT_STREAM_DRIVE_WINDOW ? there : FT_STREAM_DRIVE_WINDOW);
    }
    assert_int_equal(machine.drives, n_drives);
    assert_true(machine.nvme_read > 0 && machine.nvme_read_all >= machine.nvme_read);
    assert_string_equal(machine.source, "probed");
}

// Asked for everything, it reads every stripe once.
static void check_whole(ft_store *store, int n_drives)
{
    ft_machine machine = {0};
    int64_t before[SITE_DRIVES];
    for (int i = 0; i < n_drives; i++) before[i] = requests_of(store, i);
    assert_ok(ft_machine_read_store(&machine, store, INT64_MAX, 60.0));
    for (int i = 0; i < n_drives; i++) assert_int_equal(requests_of(store, i) - before[i], stripes_of(store, i));
    assert_ok(ft_machine_probe_drives(&machine, store));
    assert_true(machine.nvme_read > 0);
}

static void as_much_is_in_flight_as_in_a_run(void **state)
{
    for (int n_drives = 1; n_drives <= SITE_DRIVES; n_drives += SITE_DRIVES - 1) {
        site s;
        char id[FT_HASH_TEXT];
        bool made;
        ft_store *store;
        site_open(&s, n_drives);
        s.options.format = FT_BASE_BF16;
        assert_ok(ft_store_prepare_random(CONFIG, 5, &s.options, NULL, id, &made));
        assert_ok(ft_store_open(&store, NULL, id, &s.options));
        assert_true(n_drives > 1 || stripes_of(store, 0) > FT_STREAM_DRIVE_WINDOW);
        check_window(store, n_drives);
        check_whole(store, n_drives);
        ft_store_close(store);
        site_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_much_is_in_flight_as_in_a_run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
