// What stands in a merged directory: shards as in the source or of a given size, an index that agrees, config and tokenizer.
#include "adapter_support.h"

#include <jansson.h>

#include "train/merge.h"

#define SHARDED "tests/golden/llama3rope_tied_r16"
#define SINGLE "tests/golden/gqa_untied_r4"

static char output[1024];

static int set_up(void **state)
{
    make_scratch(state);
    snprintf(output, sizeof output, "%s", in_scratch("merged"));
    return 0;
}

static void merge(const char *model, const char *adapter, int64_t shard_bytes)
{
    const ft_merge_options options = {.model = model, .adapter = adapter, .output = output, .shard_bytes = shard_bytes, .overwrite = true};
    ft_merge_result result;
    assert_ok(ft_merge(&options, &result));
}

static int count_shards(void)
{
    int n = 0;
    DIR *stream = opendir(output);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        n += strstr(entry->d_name, ".safetensors") != NULL && strstr(entry->d_name, ".json") == NULL;
    closedir(stream);
    return n;
}

static json_t *index_of(const char *directory)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", directory);
    return json_load_file(path, 0, NULL);
}

// The merged config says all the model's does, and nothing else of it in a new way (test_merge_config.c has the rest).
static void check_config(const char *model)
{
    const char *key;
    json_t *value, *before = json_load_file(model, 0, NULL), *after = json_load_file(in_scratch("merged/config.json"), 0, NULL);
    assert_non_null(before);
    assert_non_null(after);
    json_object_foreach(before, key, value) assert_true(json_equal(value, json_object_get(after, key)));
    json_decref(before);
    json_decref(after);
}

static void a_single_file_stays_single(void **state)
{
    merge(SINGLE "/model", SINGLE "/adapter_init", 0);
    assert_int_equal(count_shards(), 1);
    assert_true(ft_path_exists(in_scratch("merged/model.safetensors")));
    assert_null(index_of(output));
    check_config(SINGLE "/model/config.json");
}

static void shards_stay_as_they_are(void **state)
{
    ft_model_files before, after;
    merge(SHARDED "/model", SHARDED "/adapter_init", 0);
    assert_int_equal(count_shards(), 3);
    json_t *ours = index_of(output), *theirs = index_of(SHARDED "/model");
    assert_true(json_equal(json_object_get(ours, "weight_map"), json_object_get(theirs, "weight_map")));
    assert_ok(ft_model_files_open(&before, SHARDED "/model"));
    assert_ok(ft_model_files_open(&after, output));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(ours, "metadata"), "total_size")), after.total_bytes);
    for (int f = 0; f < 3; f++)
        for (int i = 0; i < before.files[f].n_tensors; i++)
            assert_string_equal(before.files[f].tensors[i].name, after.files[f].tensors[i].name);
    ft_model_files_close(&before);
    ft_model_files_close(&after);
    json_decref(ours);
    json_decref(theirs);
}

// Every file is at most `limit` bytes of tensors, or one tensor.
static void shards_of_a_size(int64_t limit, int at_least)
{
    ft_model_files files;
    merge(SHARDED "/model", SHARDED "/adapter_init", limit);
    assert_ok(ft_model_files_open(&files, output));  // index and shards agree
    assert_true(files.n_files >= at_least);
    for (int f = 0; f < files.n_files; f++) {
        int64_t bytes = 0;
        char name[64];
        for (int i = 0; i < files.files[f].n_tensors; i++) bytes += files.files[f].tensors[i].bytes;
        assert_true(bytes <= limit || files.files[f].n_tensors == 1);
        snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", f + 1, files.n_files);
        assert_string_equal(ft_path_base(files.files[f].path), name);
    }
    ft_model_files_close(&files);
}

static void shards_have_the_size_asked_for(void **state)
{
    shards_of_a_size(100000, 5);
    shards_of_a_size(1, 20);
}

static void one_shard_needs_no_index(void **state)
{
    merge(SHARDED "/model", SHARDED "/adapter_init", (int64_t)5 << 30);
    assert_int_equal(count_shards(), 1);
    assert_true(ft_path_exists(in_scratch("merged/model.safetensors")));
    assert_null(index_of(output));
}

// A model directory of links, as a hub cache has, with what usually lies in one.
static void tokenizer_and_templates_are_copied(void **state)
{
    static const char *const copied[] = {
        "tokenizer.json", "tokenizer_config.json", "generation_config.json", "tokenizer.model", "merges.txt", "chat_template.jinja",
        "LICENSE"};
    static const char *const left[] = {
        "README.md", "pytorch_model.bin.index.json", "adapter_config.json", "consolidated.pth", "model.gguf", ".hidden.json"};
    char here[512], target[1024];
    assert_non_null(getcwd(here, sizeof here));
    assert_ok(ft_make_directories(in_scratch("model/sub.json")));
    snprintf(target, sizeof target, "%s/" SINGLE "/model/config.json", here);
    assert_int_equal(symlink(target, in_scratch("model/config.json")), 0);
    snprintf(target, sizeof target, "%s/" SINGLE "/model/model.safetensors", here);
    assert_int_equal(symlink(target, in_scratch("model/model.safetensors")), 0);
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) write_string(in_scratch("model/%s", copied[i]), copied[i]);
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) write_string(in_scratch("model/%s", left[i]), left[i]);
    char model[1024];
    snprintf(model, sizeof model, "%s", in_scratch("model"));
    merge(model, SINGLE "/adapter_init", 0);
    check_config(SINGLE "/model/config.json");
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++)
        assert_true(same_files(in_scratch("model/%s", copied[i]), in_scratch("merged/%s", copied[i])));
    assert_int_equal(count_entries(output), 3 + sizeof copied / sizeof copied[0]);
    assert_false(same_files(in_scratch("model/README.md"), in_scratch("merged/README.md")));  // a card of its own
}

static void a_checkpoint_can_be_merged(void **state)
{
    ft_shape shape;
    ft_adapter_layout adapter;
    ft_settings settings = test_settings();
    const ft_run_state run = {.step = 3};
    assert_ok(ft_shape_read(&shape, SINGLE "/model"));
    assert_ok(ft_adapter_layout_make(&adapter, &shape, 2, 4, 0, false, 1u << FT_LINEAR_UP));
    float *values = random_array(&adapter, 1);
    assert_ok(ft_checkpoint_save(scratch, &run, &adapter, &shape, &settings, "base-id", values, values, values));
    char checkpoint[1024];
    snprintf(checkpoint, sizeof checkpoint, "%s", in_scratch("checkpoint-3"));
    merge(SINGLE "/model", checkpoint, 0);
    free(values);
    ft_adapter_layout_free(&adapter);
    ft_settings_free(&settings);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_single_file_stays_single),  TEST(shards_stay_as_they_are),           TEST(shards_have_the_size_asked_for),
        TEST(one_shard_needs_no_index),    TEST(tokenizer_and_templates_are_copied), TEST(a_checkpoint_can_be_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
