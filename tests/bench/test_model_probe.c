// A random checkpoint: the same bytes however many threads make them, of the values that its header comment promises.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/probes.h"
#include "common/codec.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/threads.h"
#include "io/safetensors.h"

// The embedding is longer than what is written at once, and no multiple of it.
static const ft_bench_options options = {.hidden = 252, .ffn = 300, .layers = 1, .heads = 7, .kv_heads = 7, .vocab = 70001, .seed = 5};

static char root[64];

static void done(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static char *write_and_read(const char *name, size_t *bytes)
{
    char path[160], *data;
    snprintf(path, sizeof path, "%s/%s", root, name);
    done(ft_bench_write_model(&options, path));
    strcat(path, "/model.safetensors");
    done(ft_file_read(path, 256 << 20, &data, bytes));
    return data;
}

static void threads_change_no_byte(void **state)
{
    size_t alone_bytes, together_bytes;
    char *alone = write_and_read("alone", &alone_bytes);
    done(ft_threads_init(3));
    char *together = write_and_read("together", &together_bytes);
    ft_threads_shutdown();
    assert_int_equal(alone_bytes, together_bytes);
    assert_memory_equal(alone, together, alone_bytes);
    ft_free(alone);
    ft_free(together);
}

static void check_values(const char *name, double mean)
{
    char path[160];
    ft_safetensors file;
    snprintf(path, sizeof path, "%s/alone/model.safetensors", root);
    done(ft_safetensors_open(&file, path));
    const ft_tensor_info *tensor = ft_safetensors_find(&file, name);
    assert_non_null(tensor);
    ft_bf16 *values = malloc((size_t)tensor->bytes);
    done(ft_safetensors_read(&file, tensor, 0, tensor->bytes, values));
    double sum = 0, squares = 0, n = (double)tensor->elements;
    for (int64_t i = 0; i < tensor->elements; i++) {
        double x = (double)ft_bf16_to_f32(values[i]) - mean;
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / n) < 5 * 0.02 / sqrt(n));
    assert_true(fabs(sqrt(squares / n) / 0.02 - 1) < 4 / sqrt(n));
    free(values);
    ft_safetensors_close(&file);
}

static void matrices_are_normal_and_norms_near_one(void **state)
{
    check_values("model.embed_tokens.weight", 0);
    check_values("model.layers.0.mlp.down_proj.weight", 0);
    check_values("model.norm.weight", 1);
}

static int make_root(void **state)
{
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/ft-model-XXXXXX", base && strlen(base) < 40 && *base ? base : "/tmp");
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    ft_remove_tree(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_change_no_byte), cmocka_unit_test(matrices_are_normal_and_norms_near_one)};
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
