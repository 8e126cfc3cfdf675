// A checkpoint is not loaded into a run it does not belong to, and slices of several writers are put together or refused.
#include "adapter_support.h"

#include "train/checkpoint_state.h"

static ft_adapter_layout adapter;
static ft_shape shape;

static int set_up(void **state)
{
    make_scratch(state);
    shape = tiny_shape();
    adapter = tiny_adapter(4, 1u << FT_LINEAR_Q | 1u << FT_LINEAR_UP);
    return 0;
}

static int tear_down(void **state)
{
    ft_adapter_layout_free(&adapter);
    return remove_scratch(state);
}

static ft_status load_as(const ft_adapter_layout *layout, const ft_shape *model, const char *base_id)
{
    ft_run_state state;
    float *arrays[3];
    for (int i = 0; i < 3; i++) arrays[i] = malloc((size_t)layout->n_floats * sizeof(float));
    ft_status status = ft_checkpoint_load(in_scratch("checkpoint-1"), &state, layout, model, base_id, arrays[0], arrays[1], arrays[2]);
    for (int i = 0; i < 3; i++) free(arrays[i]);
    return status;
}

static void another_base_is_refused_and_both_are_named(void **state)
{
    assert_ok(save_step(scratch, 1, &adapter));
    assert_ok(load_as(&adapter, &shape, "base-id"));
    assert_refused(load_as(&adapter, &shape, "0123abcd"), FT_E_INPUT, "0123abcd");
    assert_non_null(strstr(ft_error_message(), "base-id"));
}

static ft_status load_with(int64_t r, unsigned targets, int64_t hidden, int64_t layers)
{
    ft_shape other = shape;
    ft_adapter_layout layout;
    other.hidden = hidden;
    other.layers = layers;
    assert_ok(ft_adapter_layout_make(&layout, &other, r, 8, 0, false, targets));
    ft_status status = load_as(&layout, &other, "base-id");
    ft_adapter_layout_free(&layout);
    return status;
}

static void other_shapes_are_refused_and_the_tensor_named(void **state)
{
    const unsigned targets = adapter.targets;
    assert_ok(save_step(scratch, 1, &adapter));
    assert_ok(load_with(4, targets, 12, 2));
    assert_refused(load_with(8, targets, 12, 2), FT_E_INPUT, "q_proj.lora_A.weight is [4, 12] in the checkpoint and [8, 12] in this run");
    assert_refused(load_with(4, targets, 24, 2), FT_E_INPUT, "q_proj.lora_A.weight is [4, 12]");
    assert_refused(load_with(4, targets | 1u << FT_LINEAR_V, 12, 2), FT_E_INPUT, "v_proj.lora_A.weight is missing");
    assert_refused(load_with(4, 1u << FT_LINEAR_Q, 12, 2), FT_E_INPUT, "lora_target_modules");
    assert_refused(load_with(4, targets, 12, 3), FT_E_INPUT, "model.layers.2.");
    assert_refused(load_with(4, targets, 12, 1), FT_E_INPUT, "lora_target_modules");
}

// --- Checkpoints of several writers, written here by hand through the manifest ------------------------------------------------
typedef struct {
    ft_checkpoint_manifest manifest;
    float *values;                 // parameters; moments are the same values
    int64_t cut;                   // rows [0, cut) of each tensor are writer 0's
    bool drop_second, repeat_first, cut_columns;
} writers;

static void add_slice(writers *w, FILE *stream, int file, const char *prefix, const ft_adapter_tensor *tensor, int64_t begin, int64_t end)
{
    char key[FT_ADAPTER_KEY], name[FT_ADAPTER_KEY + 32];
    const float *from = w->values + tensor->offset + begin * tensor->cols;
    int64_t bytes = (end - begin) * tensor->cols * (int64_t)sizeof(float);
    ft_adapter_tensor_name(&shape, tensor, key);
    snprintf(name, sizeof name, "%s%s", prefix, key);
    ft_checkpoint_manifest_entry entry = {.parameter = name,
                                          .dtype = FT_DTYPE_F32,
                                          .rank = 2,
                                          .shape = {tensor->rows, tensor->cols},
                                          .begin = {begin, 0},
                                          .end = {end, tensor->cols},
                                          .file = file,
                                          .offset = ftell(stream),
                                          .length = bytes,
                                          .hash = ft_hash128_of(from, (size_t)bytes)};
    if (w->cut_columns && !tensor->is_b) {  // half the columns of all rows: as many bytes as all columns of half the rows
        entry.begin[0] = 0;
        entry.end[0] = tensor->rows;
        entry.begin[1] = begin > 0 ? tensor->cols / 2 : 0;
        entry.end[1] = entry.begin[1] + tensor->cols / 2;
    }
    assert_int_equal(fwrite(from, 1, (size_t)bytes, stream), bytes);
    assert_ok(ft_checkpoint_manifest_add_entry(&w->manifest, &entry));
}

static void write_file_of(writers *w, int writer)
{
    static const char *const prefixes[] = {"", "exp_avg.", "exp_avg_sq."};
    const char *name = writer == 0 ? "rank0.bin" : "rank1.bin";
    char path[1024];
    size_t bytes;
    snprintf(path, sizeof path, "%s", in_scratch("checkpoint-1/%s", name));
    assert_ok(ft_checkpoint_manifest_add_file(&w->manifest, name, 0, (ft_hash128){0}));
    FILE *stream = fopen(path, "wb");
    for (int p = 0; p < 3; p++) {
        for (int64_t t = 0; t < adapter.n_tensors; t++) {
            const ft_adapter_tensor *tensor = &adapter.tensor[t];
            if (writer == 0 || w->repeat_first) add_slice(w, stream, writer, prefixes[p], tensor, 0, w->cut);
            if (writer == 1 && !w->drop_second) add_slice(w, stream, writer, prefixes[p], tensor, w->cut, tensor->rows);
        }
    }
    fclose(stream);
    char *data = read_bytes(path, &bytes);
    w->manifest.files[writer].bytes = (int64_t)bytes;
    w->manifest.files[writer].hash = ft_hash128_of(data, bytes);
    ft_free(data);
}

static void write_checkpoint(writers *w)
{
    const ft_run_state state = {.step = 1};
    assert_ok(ft_make_directories(in_scratch("checkpoint-1")));
    w->values = random_array(&adapter, 3);
    w->manifest = (ft_checkpoint_manifest){.step = 1, .base_id = ft_strdup("base-id")};
    write_file_of(w, 0);
    write_file_of(w, 1);
    assert_ok(ft_run_state_put(&state, in_scratch("checkpoint-1"), &w->manifest));
    assert_ok(ft_checkpoint_manifest_write(&w->manifest, in_scratch("checkpoint-1")));
}

static void free_writers(writers *w)
{
    free(w->values);
    ft_checkpoint_manifest_free(&w->manifest);
}

static void slices_of_two_writers_are_put_together(void **state)
{
    writers w = {.cut = 3};
    ft_run_state back;
    write_checkpoint(&w);
    assert_ok(ft_checkpoint_verify(in_scratch("checkpoint-1")));
    float *arrays[3];
    for (int i = 0; i < 3; i++) arrays[i] = malloc((size_t)adapter.n_floats * sizeof(float));
    assert_ok(ft_checkpoint_load(in_scratch("checkpoint-1"), &back, &adapter, &shape, "base-id", arrays[0], arrays[1], arrays[2]));
    for (int i = 0; i < 3; i++) {
        assert_true(same_floats(arrays[i], w.values, adapter.n_floats));
        free(arrays[i]);
    }
    free_writers(&w);
}

static void refused_slices(writers w, ft_status status, const char *message)
{
    write_checkpoint(&w);
    assert_refused(load_as(&adapter, &shape, "base-id"), status, message);
    free_writers(&w);
}

static void a_missing_slice_is_named(void **state)
{
    refused_slices((writers){.cut = 3, .drop_second = true}, FT_E_INPUT, "missing from row 3 on");
}
static void a_slice_there_twice_is_named(void **state)
{
    refused_slices((writers){.cut = 3, .repeat_first = true}, FT_E_CORRUPT, "row 3 is there twice");
}
static void a_cut_along_columns_is_refused(void **state)
{
    refused_slices((writers){.cut = 2, .cut_columns = true}, FT_E_UNSUPPORTED, "cut along its columns");
}

// --- Manifests that are intact but say something else ------------------------------------------------------------------------
static void rewrite_manifest(const char *from, const char *to)
{
    const size_t before = strlen(FT_MANIFEST_HASH_BEFORE);
    char path[1024], hash[FT_HASH_TEXT];
    size_t bytes;
    snprintf(path, sizeof path, "%s", in_scratch("checkpoint-1/manifest.json"));
    char *text = read_bytes(path, &bytes);
    const char *at = strstr(text, from);
    assert_non_null(at);
    char *changed = ft_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    memset(changed + before, '0', FT_HASH_TEXT - 1);
    ft_hash128_text(ft_hash128_of(changed, strlen(changed)), hash);
    memcpy(changed + before, hash, FT_HASH_TEXT - 1);
    write_string(path, changed);
    ft_free(text);
    ft_free(changed);
}

static void a_manifest_that_makes_no_sense_is_refused(void **state)
{
    static const struct {
        const char *from, *to, *message;
        ft_status status;
    } cases[] = {
        {"\"version\": 1", "\"version\": 2", "version 2 is not known", FT_E_UNSUPPORTED},
        {"\"version\": 1, ", "", "no version", FT_E_CORRUPT},
        {"\"step\": 1", "\"step\": -1", "no step", FT_E_CORRUPT},
        {"\"step\": 1", "\"step\": 3", "of step 1, the manifest of step 3", FT_E_CORRUPT},
        {"\"file\": \"state.json\"", "\"file\": \"../state.json\"", "files[3]", FT_E_CORRUPT},
        {"\"file\": \"state.json\"", "\"file\": \"optimizer.safetensors\"", "files[3]", FT_E_CORRUPT},
        {"\"file\": \"state.json\"", "\"file\": \"elsewhere\"", "no state.json", FT_E_CORRUPT},
        {"\"dtype\": \"F32\"", "\"dtype\": \"F33\"", "entries[0]", FT_E_CORRUPT},
        {"\"dtype\": \"F32\"", "\"dtype\": \"F16\"", "entries[0]", FT_E_CORRUPT},
        {"\"slice\": [[0, 4]", "\"slice\": [[0, 5]", "entries[0]", FT_E_CORRUPT},
        {"\"slice\": [[0, 4]", "\"slice\": [[4, 4]", "entries[0]", FT_E_CORRUPT},
        {"\"shape\": [4, 12]", "\"shape\": [4]", "entries[0]", FT_E_CORRUPT},
        {"\"offset\": ", "\"offset\": 9", "entries[0]", FT_E_CORRUPT},
        {"\"entries\": [", "\"entries\": [7, ", "entries[0]", FT_E_CORRUPT},
        {"]}\n", "]\n", "manifest.json: line", FT_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_ok(save_step(scratch, 1, &adapter));
        rewrite_manifest(cases[i].from, cases[i].to);
        assert_refused(load_as(&adapter, &shape, "base-id"), cases[i].status, cases[i].message);
    }
}

static void an_entry_moved_onto_another_is_refused(void **state)
{
    assert_ok(save_step(scratch, 1, &adapter));
    ft_checkpoint_manifest manifest;
    assert_ok(ft_checkpoint_manifest_read(&manifest, in_scratch("checkpoint-1")));
    manifest.entries[1].offset = manifest.entries[0].offset + 4;
    assert_ok(ft_checkpoint_manifest_write(&manifest, in_scratch("checkpoint-1")));
    ft_checkpoint_manifest_free(&manifest);
    assert_refused(ft_checkpoint_verify(in_scratch("checkpoint-1")), FT_E_CORRUPT, "overlap");
}

static void a_state_without_a_field_is_refused(void **state)
{
    static const char incomplete[] = "{\"step\": 1, \"update\": \"one\"}";
    ft_checkpoint_manifest manifest = {.step = 1};
    ft_run_state back;
    assert_ok(ft_checkpoint_manifest_put_file(&manifest, scratch, "state.json", incomplete, strlen(incomplete)));
    assert_refused(ft_run_state_get(&back, scratch, &manifest), FT_E_INPUT, "update is missing");
    ft_checkpoint_manifest_free(&manifest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(another_base_is_refused_and_both_are_named),
        TEST(other_shapes_are_refused_and_the_tensor_named),
        TEST(slices_of_two_writers_are_put_together),
        TEST(a_missing_slice_is_named),
        TEST(a_slice_there_twice_is_named),
        TEST(a_cut_along_columns_is_refused),
        TEST(a_manifest_that_makes_no_sense_is_refused),
        TEST(an_entry_moved_onto_another_is_refused),
        TEST(a_state_without_a_field_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
