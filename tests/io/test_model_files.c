// A model directory opens only if its index and its shards tell the same story.
#include <unistd.h>

#include "safetensors_support.h"

static char *directory;

static int set_up(void **state)
{
    directory = support_directory();
    return 0;
}

static int tear_down(void **state)
{
    support_remove(directory);
    return 0;
}

// A shard with one-byte tensors named by the letters of `names`; the byte of a tensor is its position.
static void make_shard(const char *file, const char *names)
{
    char header[1024] = "{", *path = ft_path_join(directory, file);
    for (int i = 0; names[i] != 0; i++) {
        size_t used = strlen(header);
        snprintf(header + used, sizeof header - used, "%s\"%c\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                 i > 0 ? "," : "", names[i], i, i + 1);
    }
    strcat(header, "}");
    write_header(path, header, strlen(names));
    ft_free(path);
}

static void make_index(const char *text)
{
    char *path = ft_path_join(directory, "model.safetensors.index.json");
    assert_ok(ft_file_write(path, text, strlen(text)));
    ft_free(path);
}

static void refused(ft_status expected, const char *part)
{
    ft_model_files model;
    assert_int_equal(ft_model_files_open(&model, directory), expected);
    assert_message_has(ft_error_message(), directory);
    assert_message_has(ft_error_message(), part);
    assert_null(model.directory);
}

static void single_file_opens(void **state)
{
    ft_model_files model;
    make_shard("model.safetensors", "cab");
    assert_ok(ft_model_files_open(&model, directory));
    assert_int_equal(model.n_files, 1);
    assert_int_equal(model.n_tensors, 3);
    assert_int_equal(model.total_bytes, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(model.sorted[i]->name[0], 'a' + i);
    ft_model_files_close(&model);
}

static void shards_open_as_one(void **state)
{
    ft_model_files model;
    make_shard("two.safetensors", "da");
    make_shard("one.safetensors", "cb");
    make_index("{\"metadata\":{\"total_size\":4},\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\","
               "\"c\":\"one.safetensors\",\"d\":\"two.safetensors\"}}");
    assert_ok(ft_model_files_open(&model, directory));
    assert_int_equal(model.n_files, 2);
    assert_int_equal(model.n_tensors, 4);
    static const struct {
        const char *name, *shard;
        int value;
    } expected[] = {{"a", "two", 1}, {"b", "one", 1}, {"c", "one", 0}, {"d", "two", 0}};
    for (int i = 0; i < 4; i++) {
        const ft_tensor_info *tensor = ft_model_files_find(&model, expected[i].name);
        unsigned char value = 99;
        assert_ptr_equal(tensor, model.sorted[i]);
        assert_message_has(model.files[tensor->file].path, expected[i].shard);
        assert_ok(ft_model_files_read(&model, tensor, 0, 1, &value));
        assert_int_equal(value, expected[i].value);
    }
    assert_null(ft_model_files_find(&model, "e"));
    assert_null(ft_model_files_find(&model, ""));
    ft_model_files_close(&model);
}

static void single_file_wins_over_an_index(void **state)
{
    ft_model_files model;
    make_shard("model.safetensors", "a");
    make_index("not even JSON");
    assert_ok(ft_model_files_open(&model, directory));
    assert_int_equal(model.n_tensors, 1);
    ft_model_files_close(&model);
}

static void empty_or_missing_directory_is_refused(void **state)
{
    ft_model_files model;
    refused(FT_E_NOT_FOUND, "neither model.safetensors nor");
    assert_int_equal(ft_model_files_open(&model, "/nonexistent/model"), FT_E_NOT_FOUND);
    assert_message_has(ft_error_message(), "/nonexistent/model");
}

#define X "x.safetensors"
#define Y "y.safetensors"

static void index_and_shards_must_agree(void **state)
{
    static const struct {
        const char *x, *y;  // names of the tensors of both shards
        const char *index;
        ft_status status;
        const char *message;
    } cases[] = {
        {"ab", "c", "{\"weight_map\":{\"a\":\"" X "\",\"b\":\"" X "\",\"c\":\"" X "\"}}", FT_E_INPUT,
         "\"c\" should be in x.safetensors but is in no shard"},
        {"ab", "c", "{\"weight_map\":{\"a\":\"" X "\",\"b\":\"" Y "\",\"c\":\"" Y "\"}}", FT_E_INPUT,
         "\"b\" should be in y.safetensors but is in x"},
        {"ab", "c", "{\"weight_map\":{\"a\":\"" X "\",\"c\":\"" Y "\"}}", FT_E_INPUT,
         "\"b\" is not in model.safetensors.index.json"},
        {"ab", "c", "{\"weight_map\":{\"a\":\"" X "\",\"b\":\"" X "\",\"c\":\"" Y "\",\"d\":\"" Y "\"}}", FT_E_INPUT,
         "\"d\" should be in"},
        {"ab", "b", "{\"weight_map\":{\"a\":\"" X "\",\"b\":\"" Y "\"}}", FT_E_INPUT,
         "\"b\" is in x.safetensors too"},
        {"ab", "c", "{\"weight_map\":{\"a\":\"" X "\",\"b\":\"" X "\",\"c\":\"z.safetensors\"}}", FT_E_NOT_FOUND,
         "z.safetensors"},
        {"a", "b", "{\"weight_map\":{\"a\":\"../x.safetensors\"}}", FT_E_INPUT,
         "where a file name belongs"},
        {"a", "b", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", FT_E_INPUT,
         "where a file name belongs"},
        {"a", "b", "{\"weight_map\":{\"a\":\"..\"}}", FT_E_INPUT,
         "where a file name belongs"},
        {"a", "b", "{\"weight_map\":{\"a\":\"\"}}", FT_E_INPUT,
         "where a file name belongs"},
        {"a", "b", "{\"weight_map\":{\"a\":7}}", FT_E_INPUT,
         "where a file name belongs"},
        {"a", "b", "{\"weight_map\":{\"a\":\"" X "\",\"a\":\"" X "\"}}", FT_E_INPUT,
         "duplicate"},
        {"a", "b", "{\"weight_map\":{}}", FT_E_INPUT,
         "no weight_map"},
        {"a", "b", "{\"weight_map\":[]}", FT_E_INPUT, "no weight_map"},
        {"a", "b", "[]", FT_E_INPUT, "no weight_map"},
        {"a", "b", "{\"weight_map\":", FT_E_INPUT, "line 1"},
        {"a", "b", "", FT_E_INPUT, "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_shard(X, cases[i].x);
        make_shard(Y, cases[i].y);
        make_index(cases[i].index);
        refused(cases[i].status, cases[i].message);
    }
}

static void broken_shard_is_named(void **state)
{
    make_shard(X, "a");
    make_shard(Y, "b");
    make_index("{\"weight_map\":{\"a\":\"" X "\",\"b\":\"" Y "\"}}");
    char *path = ft_path_join(directory, Y);
    assert_int_equal(truncate(path, 20), 0);
    refused(FT_E_INPUT, Y);
    ft_free(path);
}

static void sharded_model_of_others_opens(void **state)
{
    static const char golden[] = "tests/golden/llama3rope_tied_r16/model";
    ft_model_files model;
    if (!ft_path_exists("tests/golden/llama3rope_tied_r16/model/model.safetensors.index.json")) skip();
    assert_ok(ft_model_files_open(&model, golden));
    assert_true(model.n_files > 1);
    int64_t bytes = 0;
    for (int i = 0; i < model.n_tensors; i++) {
        assert_ptr_equal(ft_model_files_find(&model, model.sorted[i]->name), model.sorted[i]);
        bytes += model.sorted[i]->bytes;
    }
    assert_int_equal(bytes, model.total_bytes);
    assert_non_null(ft_model_files_find(&model, "model.embed_tokens.weight"));
    ft_model_files_close(&model);
}

static void every_failed_allocation_is_reported(void **state)
{
    make_shard(X, "ab");
    make_shard(Y, "c");
    make_index("{\"weight_map\":{\"a\":\"" X "\",\"b\":\"" X "\",\"c\":\"" Y "\"}}");
    for (int64_t n = 1;; n++) {
        ft_model_files model;
        ft_memory_fail_after(n);
        ft_status status = ft_model_files_open(&model, directory);
        ft_memory_fail_after(0);
        if (status == FT_OK) {
            ft_model_files_close(&model);
            assert_true(n > 10);
            return;
        }
        assert_int_equal(status, FT_E_NOMEM);
        assert_null(model.directory);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(single_file_opens),
        TEST(shards_open_as_one),
        TEST(single_file_wins_over_an_index),
        TEST(empty_or_missing_directory_is_refused),
        TEST(index_and_shards_must_agree),
        TEST(broken_shard_is_named),
        TEST(sharded_model_of_others_opens),
        TEST(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
