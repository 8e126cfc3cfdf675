// What the checkpoint, adapter and merge tests share: a scratch directory, a tiny model's shape and adapter, files to damage.
#ifndef FT_TESTS_TRAIN_ADAPTER_SUPPORT_H
#define FT_TESTS_TRAIN_ADAPTER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/rng.h"
#include "train/adapter_file.h"
#include "train/checkpoint.h"

#define assert_ok(expression) support_assert_ok((expression), #expression, __FILE__, __LINE__)

static inline void support_assert_ok(ft_status status, const char *text, const char *file, int line)
{
    if (status == FT_OK) return;
    print_error("%s = %d: %s\n", text, status, ft_error_message());
    _fail(file, line);
}

// The call failed with `status` and its message mentions `part`.
#define assert_refused(expression, status, part) support_assert_refused((expression), (status), (part), #expression, __FILE__, __LINE__)

static inline void support_assert_refused(ft_status actual, ft_status expected, const char *part, const char *text, const char *file,
                                          int line)
{
    if (actual == expected && strstr(ft_error_message(), part)) return;
    print_error("%s = %d, expected %d and \"%s\"; message: %s\n", text, actual, expected, part, ft_error_message());
    _fail(file, line);
}

static char scratch[512];  // set by make_scratch

static inline int make_scratch(void **state)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/ft-train-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(scratch));
    return 0;
}

static inline int remove_scratch(void **state)
{
    assert_ok(ft_remove_tree(scratch));
    return 0;
}

#define SCRATCH_TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)

// SCRATCH/<format>; the last eight stay valid.
__attribute__((format(printf, 1, 2))) static inline const char *in_scratch(const char *format, ...)
{
    static char paths[8][1024];
    static int next;
    char *path = paths[next++ % 8];
    int used = snprintf(path, sizeof paths[0], "%s/", scratch);
    va_list args;
    va_start(args, format);
    vsnprintf(path + used, sizeof paths[0] - (size_t)used, format, args);
    va_end(args);
    return path;
}

// Odd sizes, so that tensors are padded in the flat array and start anywhere in a file.
static inline ft_shape tiny_shape(void)
{
    ft_shape shape;
    assert_ok(ft_shape_parse(
        &shape,
        "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 12, \"intermediate_size\": 20, \"num_hidden_layers\": 2,"
        "\"num_attention_heads\": 3, \"num_key_value_heads\": 1, \"head_dim\": 6, \"vocab_size\": 17}",
        "config.json"));
    return shape;
}

static inline ft_adapter_layout tiny_adapter(int64_t r, unsigned targets)
{
    ft_adapter_layout adapter;
    ft_shape shape = tiny_shape();
    assert_ok(ft_adapter_layout_make(&adapter, &shape, r, 2.0 * (double)r, 0.05, false, targets));
    return adapter;
}

// A flat array of random values in [-1, 1), zero in the padding. Heap.
static inline float *random_array(const ft_adapter_layout *adapter, uint64_t seed)
{
    float *values = calloc((size_t)adapter->n_floats, sizeof *values);
    for (int64_t t = 0; t < adapter->n_tensors; t++) {
        const ft_adapter_tensor *tensor = &adapter->tensor[t];
        for (int64_t i = 0; i < tensor->rows * tensor->cols; i++)
            values[tensor->offset + i] = 2 * ft_rng_uniform(ft_rng(seed, FT_RNG_DATA, (uint32_t)t, (uint32_t)i, 0, 0).word[0]) - 1;
    }
    return values;
}

static inline bool same_floats(const float *a, const float *b, int64_t n)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

static inline ft_settings test_settings(void)
{
    ft_settings settings;
    assert_ok(ft_settings_init(&settings));
    assert_ok(ft_settings_set(&settings, "base_model", "/models/tiny", "test"));
    return settings;
}

// Saves checkpoint-STEP of random arrays made from the step into `output`.
static inline ft_status save_step(const char *output, int64_t step, const ft_adapter_layout *adapter)
{
    ft_shape shape = tiny_shape();
    ft_settings settings = test_settings();
    ft_run_state state = {.step = step, .update = step, .tokens = 100 * step, .best_eval_loss = 1.5};
    float *arrays[3];
    for (uint64_t i = 0; i < 3; i++) arrays[i] = random_array(adapter, (uint64_t)step * 8 + i);
    ft_status status = ft_checkpoint_save(output, &state, adapter, &shape, &settings, "base-id", arrays[0], arrays[1], arrays[2]);
    for (int i = 0; i < 3; i++) free(arrays[i]);
    ft_settings_free(&settings);
    return status;
}

// Without the fsync of ft_file_write: the sweeps write thousands of files.
static inline void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, n, stream), n);
    assert_int_equal(fclose(stream), 0);
}

static inline void write_string(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

// Not inlined: GCC 12 then takes the result for the address of `data`.
__attribute__((noinline, unused)) static char *read_bytes(const char *path, size_t *n)
{
    char *data;
    assert_ok(ft_file_read(path, (size_t)1 << 30, &data, n));
    return data;
}

static inline bool same_files(const char *a, const char *b)
{
    size_t na, nb;
    char *left = read_bytes(a, &na), *right = read_bytes(b, &nb);
    bool same = na == nb && memcmp(left, right, na) == 0;
    ft_free(left);
    ft_free(right);
    return same;
}

// Entries of a directory, hidden ones included.
static inline int count_entries(const char *path)
{
    int n = -2;
    DIR *stream = opendir(path);
    assert_non_null(stream);
    while (readdir(stream) != NULL) n++;
    closedir(stream);
    return n;
}

#endif
