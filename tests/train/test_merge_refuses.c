// A merge that cannot be right, or would destroy something, does not happen, and leaves nothing behind.
#include "adapter_support.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "common/codec.h"
#include "io/commit.h"
#include "train/merge.h"

#define MODEL "tests/golden/gqa_untied_r4/model"
#define ADAPTER "tests/golden/gqa_untied_r4/adapter_init"

static ft_status merge(const char *model, const char *adapter, const char *output, bool overwrite)
{
    const ft_merge_options options = {.model = model, .adapter = adapter, .output = output, .overwrite = overwrite};
    ft_merge_result result;
    return ft_merge(&options, &result);
}

static char output[1024], model[1024], adapter[1024];

static int set_up(void **state)
{
    make_scratch(state);
    snprintf(output, sizeof output, "%s", in_scratch("merged"));
    snprintf(model, sizeof model, "%s", in_scratch("model"));
    snprintf(adapter, sizeof adapter, "%s", in_scratch("adapter"));
    return 0;
}

static void copy_file(const char *from, const char *to)
{
    size_t bytes;
    char *data = read_bytes(from, &bytes);
    write_bytes(to, data, bytes);
    ft_free(data);
}

// SCRATCH/model and SCRATCH/adapter: copies of the golden ones, to be spoilt.
static void copy_inputs(void)
{
    assert_ok(ft_make_directories(model));
    assert_ok(ft_make_directories(adapter));
    copy_file(MODEL "/config.json", in_scratch("model/config.json"));
    copy_file(MODEL "/model.safetensors", in_scratch("model/model.safetensors"));
    copy_file(ADAPTER "/adapter_config.json", in_scratch("adapter/adapter_config.json"));
    copy_file(ADAPTER "/adapter_model.safetensors", in_scratch("adapter/adapter_model.safetensors"));
}

static void an_existing_output_needs_overwrite(void **state)
{
    copy_inputs();
    assert_ok(ft_make_directories(output));
    assert_ok(merge(model, adapter, output, false));  // it was empty
    write_string(in_scratch("merged/stale.json"), "{}");
    assert_refused(merge(model, adapter, output, false), FT_E_EXISTS, "--overwrite");
    assert_ok(merge(model, adapter, output, true));
    assert_false(ft_path_exists(in_scratch("merged/stale.json")));
    assert_int_equal(count_entries(scratch), 3);
}

static void what_is_not_a_model_is_never_replaced(void **state)
{
    copy_inputs();
    assert_ok(ft_make_directories(output));
    write_string(in_scratch("merged/thesis.txt"), "years of work");
    assert_refused(merge(model, adapter, output, true), FT_E_EXISTS, "not a model");
    assert_int_equal(count_entries(output), 1);
    assert_ok(ft_remove_tree(output));
    write_string(output, "a file");
    assert_refused(merge(model, adapter, output, true), FT_E_EXISTS, "not a model");
}

static void the_source_is_never_replaced(void **state)
{
    copy_inputs();
    copy_file(MODEL "/config.json", in_scratch("config.json"));  // the parent looks like a model, too
    assert_refused(merge(model, adapter, model, true), FT_E_USAGE, "is or contains the model");
    assert_refused(merge(model, adapter, in_scratch("model/../model//"), true), FT_E_USAGE, "is or contains the model");
    assert_refused(merge(model, adapter, adapter, true), FT_E_USAGE, "is or contains the adapter");
    assert_refused(merge(model, adapter, scratch, true), FT_E_USAGE, "is or contains the model");
    assert_int_equal(symlink(model, in_scratch("link")), 0);
    assert_refused(merge(model, adapter, in_scratch("link"), true), FT_E_USAGE, "is or contains the model");
    assert_refused(merge(model, adapter, in_scratch("model/.."), true), FT_E_USAGE, "name of a directory");
    assert_refused(merge(model, adapter, "/", true), FT_E_USAGE, "name of a directory");
    assert_refused(merge(model, adapter, "", true), FT_E_USAGE, "name of a directory");
    assert_int_equal(count_entries(model), 2);
}

// A name that only begins like the model's is another directory; and one inside the model's is allowed.
static void a_similar_name_is_no_conflict(void **state)
{
    copy_inputs();
    assert_ok(ft_make_directories(in_scratch("model-merged")));
    assert_ok(merge(model, adapter, in_scratch("model-merged"), true));
    assert_ok(ft_make_directories(in_scratch("mode")));
    assert_ok(merge(model, adapter, in_scratch("mode"), true));
    assert_ok(merge(model, adapter, in_scratch("model/new/merged/"), false));
    assert_true(ft_path_exists(in_scratch("model/new/merged/config.json")));
}

// Rewrites the copied adapter with one value in every A and one in every B; NaN leaves them as they are.
static void fill_adapter(float a, float b)
{
    ft_safetensors file;
    ft_safetensors_writer *writer;
    assert_ok(ft_safetensors_open(&file, ADAPTER "/adapter_model.safetensors"));
    assert_ok(ft_safetensors_create(&writer, in_scratch("adapter/adapter_model.safetensors")));
    for (int i = 0; i < file.n_tensors; i++)
        assert_ok(ft_safetensors_declare(writer, file.tensors[i].name, FT_DTYPE_F32, 2, file.tensors[i].shape));
    assert_ok(ft_safetensors_begin(writer));
    for (int i = 0; i < file.n_tensors; i++) {
        float *values = malloc((size_t)file.tensors[i].bytes);
        assert_ok(ft_safetensors_read(&file, &file.tensors[i], 0, file.tensors[i].bytes, values));
        float value = strstr(file.tensors[i].name, "lora_B") ? b : a;
        for (int64_t e = 0; e < file.tensors[i].elements && !isnan(value); e++) values[e] = value;
        assert_ok(ft_safetensors_write(writer, values, file.tensors[i].bytes));
        free(values);
    }
    assert_ok(ft_safetensors_finish(writer, false));
    ft_safetensors_discard(writer);
    ft_safetensors_close(&file);
}

static void an_adapter_that_changes_nothing_is_refused(void **state)
{
    copy_inputs();
    fill_adapter(NAN, 0);
    assert_refused(merge(model, adapter, output, false), FT_E_INPUT, "nothing to merge");
    fill_adapter(0, NAN);
    assert_refused(merge(model, adapter, output, false), FT_E_INPUT, "nothing to merge");
    fill_adapter(NAN, 1e-42f);  // not zero, but lost in rounding
    assert_refused(merge(model, adapter, output, false), FT_E_INPUT, "too small to change");
    assert_int_equal(count_entries(scratch), 2);
}

static void a_result_that_overflows_names_the_tensor(void **state)
{
    copy_inputs();
    fill_adapter(1e20f, 1e20f);
    assert_refused(merge(model, adapter, output, false), FT_E_NUMERIC, "_proj.weight: row 0 is not finite");
    assert_int_equal(count_entries(scratch), 2);
}

static void an_adapter_of_another_model_is_refused(void **state)
{
    assert_refused(merge("tests/golden/llama3rope_tied_r16/model", ADAPTER, output, false), FT_E_INPUT, "where the model and r need");
    assert_refused(merge(MODEL, "tests/golden/mha_odd/adapter_init", output, false), FT_E_INPUT, "where the model and r need");
    assert_refused(merge(MODEL, in_scratch("nowhere"), output, false), FT_E_NOT_FOUND, "nowhere");
    assert_int_not_equal(merge(in_scratch("nowhere"), ADAPTER, output, false), FT_OK);
    assert_int_equal(count_entries(scratch), 0);
}

// The golden model with one tensor under another name, dtype or shape.
static void spoil_model(const char *tensor, const char *name, ft_dtype dtype, int64_t rows)
{
    ft_safetensors file;
    ft_safetensors_writer *writer;
    assert_ok(ft_safetensors_open(&file, MODEL "/model.safetensors"));
    assert_ok(ft_safetensors_create(&writer, in_scratch("model/model.safetensors")));
    for (int i = 0; i < file.n_tensors; i++) {
        const ft_tensor_info *t = &file.tensors[i];
        bool spoilt = strcmp(t->name, tensor) == 0;
        int64_t shape[2] = {spoilt && rows ? rows : t->shape[0], t->rank > 1 ? t->shape[1] : 1};
        assert_ok(ft_safetensors_declare(writer, spoilt ? name : t->name, spoilt ? dtype : t->dtype, t->rank, shape));
    }
    assert_ok(ft_safetensors_begin(writer));
    char *zeros = calloc(1, 1 << 20);
    for (int i = 0; i < file.n_tensors; i++) {
        const ft_tensor_info *t = &file.tensors[i];
        bool spoilt = strcmp(t->name, tensor) == 0;
        int64_t elements = spoilt && rows ? rows * t->shape[1] : t->elements;
        assert_ok(ft_safetensors_write(writer, zeros, elements * (int64_t)ft_dtype_bytes(spoilt ? dtype : t->dtype)));
    }
    free(zeros);
    assert_ok(ft_safetensors_finish(writer, false));
    ft_safetensors_discard(writer);
    ft_safetensors_close(&file);
}

static void a_model_that_lacks_a_weight_is_refused(void **state)
{
    static const char weight[] = "model.layers.1.mlp.up_proj.weight";
    copy_inputs();
    spoil_model(weight, "something.else", FT_DTYPE_BF16, 0);
    assert_refused(merge(model, adapter, output, false), FT_E_INPUT, weight);
    spoil_model(weight, weight, FT_DTYPE_BF16, 127);
    assert_refused(merge(model, adapter, output, false), FT_E_INPUT, "model.layers.1.mlp.up_proj.weight is not [128, 128]");
    spoil_model(weight, weight, FT_DTYPE_F8_E4M3, 0);
    assert_refused(merge(model, adapter, output, false), FT_E_UNSUPPORTED, "model.layers.1.mlp.up_proj.weight is F8_E4M3");
    assert_int_equal(count_entries(scratch), 2);
}

static void a_stop_leaves_nothing(void **state)
{
    volatile int stop = 1;
    const ft_merge_options options = {.model = MODEL, .adapter = ADAPTER, .output = output, .stop = &stop};
    ft_merge_result result;
    assert_int_equal(ft_merge(&options, &result), FT_E_STOPPED);
    assert_int_equal(count_entries(scratch), 0);
}

static void every_failed_allocation_leaves_nothing(void **state)
{
    ft_status status = FT_E_NOMEM;
    for (int64_t n = 1; status != FT_OK; n++) {
        ft_memory_fail_after(n);
        status = merge(MODEL, ADAPTER, output, false);
        ft_memory_fail_after(0);
        if (status != FT_OK) assert_int_equal(status, FT_E_NOMEM);
        assert_int_equal(count_entries(scratch), status == FT_OK);
    }
}

static ft_status refuse_rename(const char *step)
{
    return strcmp(step, "rename") == 0 ? ft_error(FT_E_IO, "injected") : FT_OK;
}

static void a_failed_commit_leaves_nothing(void **state)
{
    ft_commit_hook = refuse_rename;
    ft_status status = merge(MODEL, ADAPTER, output, false);
    ft_commit_hook = NULL;
    assert_int_equal(status, FT_E_IO);
    assert_int_equal(count_entries(scratch), 0);
}

// A model whose last tensor is a hole larger than the disk: the merge says so before it writes.
static void a_full_disk_is_foreseen(void **state)
{
    struct statvfs fs;
    copy_inputs();
    assert_int_equal(statvfs(scratch, &fs), 0);
    int64_t hole = ((int64_t)(fs.f_bavail * fs.f_frsize) / 4096 + 100000) * 4096;
    char header[512], name[1024];
    snprintf(header, sizeof header, "{\"extra\":{\"dtype\":\"U8\",\"shape\":[%lld],\"data_offsets\":[0,%lld]}}", (long long)hole,
             (long long)hole);
    uint64_t length = strlen(header);
    snprintf(name, sizeof name, "%s", in_scratch("model/model-00002-of-00002.safetensors"));
    FILE *stream = fopen(name, "wb");
    fwrite(&length, 8, 1, stream);
    fwrite(header, 1, length, stream);
    fclose(stream);
    if (truncate(name, hole + 8 + (int64_t)length) != 0) skip();  // the file system has no holes of that size
    assert_int_equal(rename(in_scratch("model/model.safetensors"), in_scratch("model/model-00001-of-00002.safetensors")), 0);
    ft_safetensors file;
    assert_ok(ft_safetensors_open(&file, in_scratch("model/model-00001-of-00002.safetensors")));
    stream = fopen(in_scratch("model/model.safetensors.index.json"), "w");
    fprintf(stream, "{\"weight_map\": {\"extra\": \"model-00002-of-00002.safetensors\"");
    for (int i = 0; i < file.n_tensors; i++) fprintf(stream, ", \"%s\": \"model-00001-of-00002.safetensors\"", file.tensors[i].name);
    fprintf(stream, "}}");
    fclose(stream);
    ft_safetensors_close(&file);
    assert_refused(merge(model, adapter, output, false), FT_E_IO, "more than there is free");
    assert_int_equal(count_entries(scratch), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_existing_output_needs_overwrite),
        TEST(what_is_not_a_model_is_never_replaced),
        TEST(the_source_is_never_replaced),
        TEST(a_similar_name_is_no_conflict),
        TEST(an_adapter_that_changes_nothing_is_refused),
        TEST(a_result_that_overflows_names_the_tensor),
        TEST(an_adapter_of_another_model_is_refused),
        TEST(a_model_that_lacks_a_weight_is_refused),
        TEST(a_stop_leaves_nothing),
        TEST(every_failed_allocation_leaves_nothing),
        TEST(a_failed_commit_leaves_nothing),
        TEST(a_full_disk_is_foreseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
