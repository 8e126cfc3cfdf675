// What prepare writes is what one gets by quantizing the source directly, read back record by record from any number of drives.
#include "offload/store_support.h"

#include <math.h>

// The source tensor as float32, through io's reader.
static float *source_values(const ft_model_files *files, const char *name, int64_t *elements, ft_dtype *dtype)
{
    const ft_tensor_info *tensor = ft_model_files_find(files, name);
    assert_non_null(tensor);
    void *raw = ft_malloc((size_t)tensor->bytes);
    float *values = ft_malloc((size_t)tensor->elements * sizeof(float));
    assert_ok(ft_model_files_read(files, tensor, 0, tensor->bytes, raw));
    assert_ok(ft_convert_to_f32(values, raw, tensor->dtype, (size_t)tensor->elements));
    ft_free(raw);
    *elements = tensor->elements;
    *dtype = tensor->dtype;
    return values;
}

typedef struct {
    const ft_store *store;
    const ft_model_files *files;
    double error_sq, norm_sq;
} comparison;

// One part of a quantized matrix against ft_quantize_tile on its own.
static void compare_tiles(comparison *c, const ft_matrix *matrix, int64_t row0, const float *values, int64_t rows)
{
    size_t n_scales = ft_scale_count(FT_SCALE_TILE, rows, matrix->cols);
    ft_e4m3 *codes = ft_malloc((size_t)(rows * matrix->cols));
    float *scales = ft_calloc(n_scales, sizeof(float));
    assert_ok(ft_quantize_tile(codes, scales, values, 0, rows, matrix->cols, &c->error_sq, &c->norm_sq));
    assert_memory_equal((const char *)matrix->codes + row0 * matrix->cols, codes, (size_t)(rows * matrix->cols));
    assert_memory_equal(matrix->scales + row0 / FT_TILE * ft_scale_stride(matrix->cols), scales, n_scales * sizeof(float));
    ft_free(codes);
    ft_free(scales);
}

static void compare_plain(comparison *c, const ft_matrix *matrix, int64_t row0, const float *values, int64_t rows, ft_group group)
{
    size_t element = ft_dtype_bytes(matrix->dtype), n = (size_t)(rows * matrix->cols);
    char *expected = ft_malloc(n * element);
    float *back = ft_malloc(n * sizeof(float));
    assert_ok(ft_convert_from_f32(expected, values, matrix->dtype, n));
    assert_memory_equal((const char *)matrix->codes + (size_t)(row0 * matrix->cols) * element, expected, n * element);
    assert_ok(ft_convert_to_f32(back, expected, matrix->dtype, n));
    for (size_t i = 0; i < n && group != FT_GROUP_SMALL; i++) {
        c->error_sq += ((double)back[i] - values[i]) * ((double)back[i] - values[i]);
        c->norm_sq += (double)values[i] * values[i];
    }
    ft_free(expected);
    ft_free(back);
}

static void compare_tensor(comparison *c, const ft_record *record, const ft_record_tensor *tensor, const char *base)
{
    ft_matrix matrix = ft_record_matrix(tensor, base);
    int64_t row0 = 0;
    for (int part = 0; part < tensor->n_parts; part++) {
        char name[FT_TENSOR_NAME];
        int64_t elements;
        ft_dtype dtype;
        assert_true(ft_shape_tensor_name(&c->store->layout.shape, tensor->role + part, record->layer, name));
        float *values = source_values(c->files, name, &elements, &dtype);
        if (matrix.kind == FT_SCALE_TILE) compare_tiles(c, &matrix, row0, values, elements / matrix.cols);
        else compare_plain(c, &matrix, row0, values, elements / matrix.cols, tensor->group);
        if (tensor->group == FT_GROUP_SMALL) assert_int_equal(matrix.dtype, dtype);
        row0 += elements / matrix.cols;
        ft_free(values);
    }
    assert_int_equal(row0, matrix.rows);
    if (matrix.kind != FT_SCALE_TILE) return;
    size_t n = ft_scale_count(FT_SCALE_TILE, matrix.cols, matrix.rows);
    float *transposed = ft_calloc(n, sizeof(float));
    ft_scale_transpose(transposed, matrix.scales, matrix.rows, matrix.cols);
    assert_memory_equal(matrix.scales_t, transposed, n * sizeof(float));
    ft_free(transposed);
}

// Bytes of a record that belong to no piece are zero.
static void check_padding(const ft_record *record, const char *base)
{
    char *used = ft_calloc((size_t)record->bytes, 1);
    for (int i = 0; i < record->n_tensors; i++) {
        const ft_record_tensor *t = &record->tensor[i];
        memset(used + t->codes, 1, (size_t)t->codes_bytes);
        if (t->scales >= 0) memset(used + t->scales, 1, 4 * ft_scale_count(t->kind, t->rows, t->cols));
        if (t->scales_t >= 0) memset(used + t->scales_t, 1, 4 * ft_scale_count(t->kind, t->cols, t->rows));
    }
    for (int64_t i = 0; i < record->bytes; i++)
        if (!used[i]) assert_int_equal(base[i], 0);
    ft_free(used);
}

static void compare_store(const site *s, int misalign)
{
    ft_model_files files;
    ft_store *store = site_open_store(s);
    assert_ok(ft_model_files_open(&files, s->model));
    comparison c = {.store = store, .files = &files};
    for (int r = 0; r < store->layout.n_records; r++) {
        const ft_record *record = &store->layout.record[r];
        char *block = aligned_alloc(FT_IO_ALIGN, (size_t)record->bytes + FT_IO_ALIGN), *base = block + misalign;
        assert_ok(ft_store_read_record(store, r, base));
        for (int i = 0; i < record->n_tensors; i++) compare_tensor(&c, record, &record->tensor[i], base);
        check_padding(record, base);
        free(block);
    }
    double expected = sqrt(c.error_sq / c.norm_sq);
    assert_true(fabs(store->relative_error - expected) <= 1e-9 * expected);
    for (int64_t i = 0; i < store->n_stripes; i++) assert_int_equal(store->verified[i], 1);
    ft_model_files_close(&files);
    ft_store_close(store);
}

static void prepare_and_compare(ft_test_model model, ft_base_format format, int n_drives)
{
    site s;
    site_open(&s, n_drives);
    s.options.format = format;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    compare_store(&s, 0);
    site_close(&s);
}

static void fp8_store_equals_direct_quantization(void **state)
{
    prepare_and_compare(site_model(), FT_BASE_FP8, 1);
    prepare_and_compare(site_model(), FT_BASE_FP8, 3);
}

// head_dim 64, 3 heads, ffn 320, hidden 192: partial tiles at both edges, nothing stacks; scales L4-padded in both directions.
static void odd_shapes_keep_partial_tiles(void **state)
{
    ft_test_model model = {.hidden = 192, .ffn = 320, .layers = 2, .q_heads = 3, .kv_heads = 3, .head_dim = 64, .vocab = 320,
                           .tied = true, .dtype = FT_DTYPE_F16, .seed = 8};
    prepare_and_compare(model, FT_BASE_FP8, 2);
    prepare_and_compare(model, FT_BASE_BF16, 1);
}

static void every_source_dtype_gives_both_formats(void **state)
{
    static const ft_dtype dtypes[] = {FT_DTYPE_BF16, FT_DTYPE_F16, FT_DTYPE_F32};
    for (int i = 0; i < 3; i++) {
        ft_test_model model = site_model();
        model.dtype = dtypes[i];
        model.vector_dtype = dtypes[(i + 1) % 3];
        if (i > 0) prepare_and_compare(model, FT_BASE_FP8, 1);
        if (i > 0) prepare_and_compare(model, FT_BASE_BF16, 2);
    }
}

static void bf16_store_of_a_bf16_source_changes_nothing(void **state)
{
    site s;
    site_open(&s, 1);
    ft_test_model model = site_model();
    s.options.format = FT_BASE_BF16;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store *store = site_open_store(&s);
    assert_true(store->relative_error == 0);
    ft_store_close(store);
    site_close(&s);
}

static void tied_and_sharded_models_work(void **state)
{
    ft_test_model model = site_model();
    model.tied = true;
    model.layers = 3;
    model.shards = 4;  // the 29 tensors divide inside layers
    prepare_and_compare(model, FT_BASE_FP8, 2);
}

// Records of more than one stripe on every drive, read into memory that no O_DIRECT transfer takes.
static void large_records_and_unaligned_memory_work(void **state)
{
    site s;
    site_open_on_disk(&s, 3);
    ft_test_model model = {.hidden = 1024, .ffn = 2816, .layers = 1, .q_heads = 8, .kv_heads = 2, .head_dim = 128, .vocab = 2048,
                           .dtype = FT_DTYPE_BF16, .seed = 9};
    s.options.format = FT_BASE_BF16;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store *store = site_open_store(&s);
    size_t bytes = (size_t)store->layout.record[0].bytes, per_drive[3] = {0};
    for (int64_t i = store->first_stripe[0]; i < store->first_stripe[1]; i++)
        per_drive[store->stripe[i].drive] += store->stripe[i].bytes;
    for (int d = 0; d < 3; d++) assert_in_range(per_drive[d], bytes / 3 - FT_STRIPE_BYTES, bytes / 3 + FT_STRIPE_BYTES);
    char *aligned = aligned_alloc(FT_IO_ALIGN, bytes), *odd = ft_malloc(bytes + 1);
    assert_ok(ft_store_read_record(store, 0, aligned));
    assert_ok(ft_store_read_record(store, 0, odd + 1));
    assert_memory_equal(aligned, odd + 1, bytes);
    free(aligned);
    ft_free(odd);
    ft_store_close(store);
    site_close(&s);
}

static void locate_finds_the_stripe_of_every_byte(void **state)
{
    site s;
    site_open(&s, 3);
    ft_test_model model = site_model();
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store *store = site_open_store(&s);
    for (int r = 0; r < store->layout.n_records; r++)
        for (int64_t at = 0; at < store->layout.record[r].bytes; at += 4096) {
            const ft_stripe *stripe = ft_store_locate(store, r, at);
            assert_int_equal(stripe->record, r);
            assert_true(at >= stripe->record_offset && at < stripe->record_offset + stripe->bytes);
        }
    ft_store_close(store);
    site_close(&s);
}

static void stripes_lie_apart_and_drives_fill_evenly(void **state)
{
    site s;
    site_open(&s, 4);
    ft_test_model model = site_model();
    model.layers = 9;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store *store = site_open_store(&s);
    int64_t end[SITE_DRIVES] = {0}, least = INT64_MAX, most = 0;
    for (int64_t i = 0; i < store->n_stripes; i++) {
        const ft_stripe *stripe = &store->stripe[i];
        assert_int_equal(stripe->offset % FT_IO_ALIGN, 0);
        assert_int_equal(stripe->offset, end[stripe->drive]);
        end[stripe->drive] += stripe->bytes;
    }
    for (int d = 0; d < 4; d++) {
        least = end[d] < least ? end[d] : least;
        most = end[d] > most ? end[d] : most;
    }
    assert_true(most - least <= FT_STRIPE_BYTES);
    ft_store_close(store);
    site_close(&s);
}

static void order_of_directories_does_not_matter(void **state)
{
    site s;
    site_open(&s, 3);
    ft_test_model model = site_model();
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    static const int orders[5][3] = {{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 5; i++) {
        for (int d = 0; d < 3; d++) s.nvme[d] = s.drive[orders[i][d]];
        compare_store(&s, 0);
        assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    }
    site_close(&s);
}

static void a_moved_drive_is_found_by_its_part(void **state)
{
    site s;
    site_open(&s, 2);
    ft_test_model model = site_model();
    char moved[320];
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    snprintf(moved, sizeof moved, "%s/elsewhere", s.root);
    assert_int_equal(rename(s.drive[0], moved), 0);
    s.nvme[0] = moved;
    compare_store(&s, 64);
    site_close(&s);
}

static void an_existing_store_is_not_written_again(void **state)
{
    site s;
    site_open(&s, 2);
    ft_test_model model = site_model();
    struct stat before, after;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    assert_int_equal(stat(site_store_path(&s, 1, "data"), &before), 0);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    assert_int_equal(stat(site_store_path(&s, 1, "data"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    site_close(&s);
}

// A base store can be checked without its model, and outlives it.
static void a_store_opens_without_its_model(void **state)
{
    site s;
    site_open(&s, 2);
    ft_test_model model = site_model();
    char id[FT_HASH_TEXT];
    ft_store *store;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, id));
    assert_ok(ft_remove_tree(s.model));
    assert_ok(ft_store_open(&store, NULL, id, &s.options));
    assert_string_equal(store->id, id);
    assert_string_equal(store->source, s.model);
    assert_int_equal(store->layout.shape.hidden, 256);
    assert_ok(ft_store_verify(store));
    ft_store_close(store);
    site_close(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp8_store_equals_direct_quantization),
        cmocka_unit_test(odd_shapes_keep_partial_tiles),
        cmocka_unit_test(every_source_dtype_gives_both_formats),
        cmocka_unit_test(bf16_store_of_a_bf16_source_changes_nothing),
        cmocka_unit_test(tied_and_sharded_models_work),
        cmocka_unit_test(large_records_and_unaligned_memory_work),
        cmocka_unit_test(locate_finds_the_stripe_of_every_byte),
        cmocka_unit_test(stripes_lie_apart_and_drives_fill_evenly),
        cmocka_unit_test(order_of_directories_does_not_matter),
        cmocka_unit_test(a_moved_drive_is_found_by_its_part),
        cmocka_unit_test(an_existing_store_is_not_written_again),
        cmocka_unit_test(a_store_opens_without_its_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
