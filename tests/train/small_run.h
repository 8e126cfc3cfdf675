// A small random model and random documents on disk, for tests that compare runs with each other.
#ifndef FT_TESTS_TRAIN_SMALL_RUN_H
#define FT_TESTS_TRAIN_SMALL_RUN_H

#include "train/run_fixture.h"

#include "common/rng.h"
#include "support/make_model.h"

typedef struct {
    char directory[64], model[96], data[96];
} small_model;

// Documents of `documents` random lengths 1..longest; the first third of each is a masked prompt.
static inline void small_write_data(const char *path, int64_t documents, int64_t longest, int64_t vocab)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (uint32_t d = 0; d < documents; d++) {
        int64_t length = 2 + ft_rng(7, FT_RNG_DATA, d, 0, 0, 0).word[0] % (uint32_t)(longest - 1);
        char separator = '[';
        fprintf(file, "{\"input_ids\":");
        for (uint32_t i = 0; i < length; i++, separator = ',') fprintf(file, "%c%u", separator, ft_rng(7, FT_RNG_DATA, d, i, 1, 0).word[0] % (uint32_t)vocab);
        fprintf(file, "],\"labels\":");
        separator = '[';
        for (uint32_t i = 0; i < length; i++, separator = ',') {
            if (i < length / 3) fprintf(file, "%c-100", separator);
            else fprintf(file, "%c%u", separator, ft_rng(7, FT_RNG_DATA, d, i, 1, 0).word[0] % (uint32_t)vocab);
        }
        fprintf(file, "]}\n");
    }
    fclose(file);
}

static inline void small_model_make(small_model *m, int64_t layers, int64_t documents, int64_t longest)
{
    snprintf(m->directory, sizeof m->directory, "/tmp/ft-small-XXXXXX");
    assert_non_null(mkdtemp(m->directory));
    snprintf(m->model, sizeof m->model, "%s/model", m->directory);
    snprintf(m->data, sizeof m->data, "%s/data.jsonl", m->directory);
    run_ok(ft_make_directories(m->model));
    ft_test_model description = {.hidden = 128, .ffn = 256, .layers = layers, .q_heads = 2, .kv_heads = 1, .head_dim = 64, .vocab = 320,
                                 .dtype = FT_DTYPE_BF16, .seed = 11};
    run_ok(ft_test_model_write(&description, m->model));
    small_write_data(m->data, documents, longest, 320);
}

static inline void small_model_remove(small_model *m)
{
    ft_remove_tree(m->directory);
}

// Fixture on the small model with more settings: key, value, ..., NULL.
static inline void small_configure(run_fixture *f, const small_model *m, const char *const *pairs)
{
    run_configure(f, pairs);
    run_set(f, "base_model", m->model);
    run_set(f, "datasets", m->data);
}

// B starts at 0, where many gradients vanish: give it random values.
static inline void small_randomize_adapter(run_fixture *f)
{
    ft_adapter_state state = ft_model_adapter(f->model);
    float *host = calloc((size_t)state.n, sizeof *host);
    for (int64_t t = 0; t < f->session.adapter.n_tensors; t++) {
        const ft_adapter_tensor *tensor = &f->session.adapter.tensor[t];
        for (int64_t i = 0; i < tensor->rows * tensor->cols; i++)
            host[tensor->offset + i] = 0.1f * (ft_rng_uniform(ft_rng(3, FT_RNG_DATA, (uint32_t)t, (uint32_t)i, 2, 0).word[0]) - 0.5f);
    }
    run_write(f, state.parameters, host, state.n);
    free(host);
}

#endif
