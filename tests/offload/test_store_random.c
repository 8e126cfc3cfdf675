// A store of random weights: any split of a record gives the same bytes, matrices are normal, norms are 1, scales serve both
// orientations.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "common/memory.h"
#include "offload/store_random.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_bytes),
        cmocka_unit_test(matrices_are_normal_and_norms_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
