// Random weights: any split of a record gives the same bytes, matrices are normal, norms are 1, scales serve both orientations. On
// drives they are a store like any other, of the same bytes, and one that was stopped continues.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "offload/store_internal.h"
#include "offload/store_random.h"
#include "store_support.h"

static ft_store *open_store(ft_base_format format)
{
    ft_shape shape;
    ft_store *store;
    assert_int_equal(ft_shape_geometry(&shape, "smollm2-135m"), FT_OK);
    shape.layers = 2;
    assert_int_equal(ft_store_open_random(&store, &shape, format, 7), FT_OK);
    assert_true(ft_store_is_random(store));
    return store;
}

static char *record_of(const ft_store *store, int record, int64_t piece)
{
    int64_t bytes = store->layout.record[record].bytes;
    char *data = ft_malloc((size_t)bytes);
    for (int64_t at = 0; at < bytes; at += piece) ft_store_random_fill(store, record, at, bytes - at < piece ? bytes - at : piece, data + at);
    return data;
}

static void any_split_gives_the_same_bytes(void **state)
{
    for (int format = FT_BASE_FP8; format <= FT_BASE_BF16; format++) {
        ft_store *store = open_store((ft_base_format)format);
        for (int record = 0; record < store->layout.n_records; record++) {
            char *whole = record_of(store, record, store->layout.record[record].bytes), *parts = record_of(store, record, 4096 * 37);
            assert_memory_equal(whole, parts, (size_t)store->layout.record[record].bytes);
            ft_free(whole);
            ft_free(parts);
        }
        ft_store_close(store);
    }
}

static void check_tensor(const ft_record_tensor *tensor, const char *data)
{
    ft_matrix m = ft_record_matrix(tensor, data);
    float *row = FT_NEW_ARRAY(float, m.cols);
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < m.rows; r++) {
        if (m.kind == FT_SCALE_NONE)
            assert_int_equal(ft_convert_to_f32(row, (const char *)m.codes + r * m.cols * (int64_t)ft_dtype_bytes(m.dtype), m.dtype, (size_t)m.cols), FT_OK);
        else ft_dequantize_rows(row, m.cols, (const ft_e4m3 *)m.codes + r * m.cols, m.scales, m.kind, r, 1, m.cols);
        for (int64_t c = 0; c < m.cols; c++) {
            sum += (double)row[c];
            squares += (double)row[c] * (double)row[c];
        }
    }
    double n = (double)(m.rows * m.cols);
    if (!ft_role_is_matrix(tensor->role)) assert_true(sum == n && squares == n);
    else assert_true(fabs(sum / n) < 1e-4 && fabs(sqrt(squares / n) / 0.02 - 1) < 0.02);
    ft_free(row);
}

static void matrices_are_normal_and_norms_are_one(void **state)
{
    for (int format = FT_BASE_FP8; format <= FT_BASE_BF16; format++) {
        ft_store *store = open_store((ft_base_format)format);
        for (int record = 0; record < store->layout.n_records; record++) {
            char *data = record_of(store, record, store->layout.record[record].bytes);
            for (int i = 0; i < store->layout.record[record].n_tensors; i++) check_tensor(&store->layout.record[record].tensor[i], data);
            ft_free(data);
        }
        ft_store_close(store);
    }
}

// --- on drives ----------------------------------------------------------------------------------------------------------------

#define CONFIG "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":256,\"intermediate_size\":640," \
               "\"num_hidden_layers\":3,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":1000," \
               "\"max_position_embeddings\":2048,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"hidden_act\":\"silu\"," \
               "\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\"}"

static void assert_bytes_of(const site *s, const char *id, ft_base_format format, uint64_t seed)
{
    ft_store *disk, *memory;
    assert_ok(ft_store_open(&disk, NULL, id, &s->options));
    assert_ok(ft_store_verify(disk));
    assert_false(ft_store_is_random(disk));
    assert_ok(ft_store_open_random(&memory, &disk->layout.shape, format, seed));
    assert_int_equal(disk->layout.n_records, memory->layout.n_records);
    for (int record = 0; record < disk->layout.n_records; record++) {
        int64_t bytes = disk->layout.record[record].bytes;
        char *made = record_of(memory, record, bytes), *read = ft_malloc((size_t)bytes);
        assert_int_equal(bytes, memory->layout.record[record].bytes);
        assert_ok(ft_store_read_record(disk, record, read));
        assert_memory_equal(made, read, (size_t)bytes);
        ft_free(made);
        ft_free(read);
    }
    ft_store_close(memory);
    ft_store_close(disk);
}

static void on_drives_the_bytes_are_those_of_memory(void **state)
{
    site s;
    site_open(&s, 3);
    for (int format = FT_BASE_FP8; format <= FT_BASE_BF16; format++) {
        char id[FT_HASH_TEXT], other[FT_HASH_TEXT];
        bool made;
        s.options.format = (ft_base_format)format;
        assert_ok(ft_store_prepare_random(CONFIG, 5, &s.options, NULL, id, &made));
        assert_true(made);
        assert_bytes_of(&s, id, s.options.format, 5);
        assert_ok(ft_store_prepare_random(CONFIG, 5, &s.options, NULL, other, &made));
        assert_true(!made && strcmp(id, other) == 0);
        assert_ok(ft_store_random_id(CONFIG, s.options.format, 6, other));
        assert_true(strcmp(id, other) != 0);
    }
    site_close(&s);
}

static void a_stopped_one_continues(void **state)
{
    site s;
    int64_t before = ft_store_checkpoint_bytes;
    char id[FT_HASH_TEXT];
    bool made;
    volatile int stop = 1;
    ft_store *store;
    ft_store_checkpoint_bytes = 1 << 14;
    site_open(&s, 2);
    assert_fails(ft_store_prepare_random(CONFIG, 5, &s.options, &stop, id, &made), FT_E_STOPPED, "continues");
    assert_fails(ft_store_open(&store, NULL, id, &s.options), FT_E_NOT_FOUND, "not finished");
    assert_ok(ft_store_prepare_random(CONFIG, 5, &s.options, NULL, id, &made));
    assert_true(made);
    assert_bytes_of(&s, id, FT_BASE_FP8, 5);
    site_close(&s);
    ft_store_checkpoint_bytes = before;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_bytes),
        cmocka_unit_test(matrices_are_normal_and_norms_are_one),
        cmocka_unit_test(on_drives_the_bytes_are_those_of_memory),
        cmocka_unit_test(a_stopped_one_continues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
