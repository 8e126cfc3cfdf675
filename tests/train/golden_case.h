// A case of tests/golden (its README.md) opened as a run: settings from case.json, data, the oracle's starting adapter, and what
// the oracle computed to compare with.
#ifndef FT_TESTS_TRAIN_GOLDEN_CASE_H
#define FT_TESTS_TRAIN_GOLDEN_CASE_H

#include "train/run_fixture.h"

#include <jansson.h>

#include "io/safetensors.h"

typedef struct {
    const char *name;
    json_t *json;
    ft_safetensors golden, init;
    run_fixture run;
} golden_case;

static inline json_t *golden_at(const golden_case *c, const char *group, const char *key)
{
    json_t *object = group ? json_object_get(c->json, group) : c->json;
    json_t *value = json_object_get(object, key);
    assert_non_null(value);
    return value;
}

static inline void golden_set_number(golden_case *c, const char *key, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.17g", value);
    run_set(&c->run, key, text);
}

static inline void golden_path(const golden_case *c, const char *file, char path[256])
{
    snprintf(path, 256, "tests/golden/%s/%s", c->name, file);
}

static inline void golden_set_targets(golden_case *c)
{
    char list[256] = "";
    size_t i;
    json_t *name;
    json_array_foreach(golden_at(c, "lora", "target_modules"), i, name)
    {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? "," : "", json_string_value(name));
    }
    run_set(&c->run, "lora_target_modules", list);
}

static inline void golden_configure(golden_case *c, const char *const *extra)
{
    char path[256];
    run_configure(&c->run, extra);
    golden_path(c, "model", path);
    run_set(&c->run, "base_model", path);
    golden_path(c, "data.jsonl", path);
    run_set(&c->run, "datasets", path);
    run_set(&c->run, "base_format", json_string_value(golden_at(c, NULL, "base_format")));
    golden_set_number(c, "sequence_len", json_number_value(golden_at(c, NULL, "sequence_len")));
    golden_set_number(c, "lora_r", json_number_value(golden_at(c, "lora", "r")));
    golden_set_number(c, "lora_alpha", json_number_value(golden_at(c, "lora", "alpha")));
    run_set(&c->run, "peft_use_rslora", json_is_true(golden_at(c, "lora", "rslora")) ? "true" : "false");
    golden_set_number(c, "loraplus_lr_ratio", json_number_value(golden_at(c, "lora", "loraplus_lr_ratio")));
    golden_set_number(c, "adam_beta1", json_number_value(json_array_get(golden_at(c, "optimizer", "betas"), 0)));
    golden_set_number(c, "adam_beta2", json_number_value(json_array_get(golden_at(c, "optimizer", "betas"), 1)));
    golden_set_number(c, "adam_epsilon", json_number_value(golden_at(c, "optimizer", "eps")));
    golden_set_number(c, "weight_decay", json_number_value(golden_at(c, "optimizer", "weight_decay")));
    golden_set_number(c, "max_grad_norm", json_number_value(golden_at(c, "optimizer", "max_grad_norm")));
    golden_set_targets(c);
}

static inline float *golden_read(const ft_safetensors *file, const char *name, int64_t *n)
{
    const ft_tensor_info *tensor = ft_safetensors_find(file, name);
    if (tensor == NULL) fail_msg("%s: no tensor %s", file->path, name);
    assert_int_equal(tensor->dtype, FT_DTYPE_F32);
    float *data = malloc((size_t)tensor->bytes + 1);
    run_ok(ft_safetensors_read(file, tensor, 0, tensor->bytes, data));
    *n = tensor->elements;
    return data;
}

// The oracle's starting adapter into the model's flat array.
static inline void golden_load_adapter(golden_case *c)
{
    ft_adapter_state state = ft_model_adapter(c->run.model);
    float *host = calloc((size_t)state.n, sizeof *host);
    for (int64_t t = 0; t < c->run.session.adapter.n_tensors; t++) {
        const ft_adapter_tensor *tensor = &c->run.session.adapter.tensor[t];
        char name[FT_TENSOR_NAME + 64];
        int64_t n;
        ft_adapter_tensor_name(&c->run.session.shape, tensor, name);
        float *values = golden_read(&c->init, name, &n);
        assert_int_equal(n, tensor->rows * tensor->cols);
        memcpy(host + tensor->offset, values, (size_t)n * sizeof(float));
        free(values);
    }
    run_write(&c->run, state.parameters, host, state.n);
    free(host);
}

static inline void golden_open(golden_case *c, const char *name, const char *const *extra)
{
    char path[256];
    c->name = name;
    golden_path(c, "case.json", path);
    c->json = json_load_file(path, 0, NULL);
    assert_non_null(c->json);
    golden_path(c, "golden.safetensors", path);
    run_ok(ft_safetensors_open(&c->golden, path));
    golden_path(c, "adapter_init/adapter_model.safetensors", path);
    run_ok(ft_safetensors_open(&c->init, path));
    golden_configure(c, extra);
    run_open(&c->run, true, NULL);
    golden_load_adapter(c);
}

static inline void golden_close(golden_case *c)
{
    run_close(&c->run);
    ft_safetensors_close(&c->golden);
    ft_safetensors_close(&c->init);
    json_decref(c->json);
}

typedef struct {
    double wrong, all;  // ||ours - theirs||^2, ||theirs - start||^2
} golden_distance;

// Tensor t of `ours` (flat, as ft_adapter_state's arrays) against the golden tensor PREFIX + key; with `change`, as a change since
// the starting adapter.
static inline golden_distance golden_compare(const golden_case *c, int64_t t, const float *ours, const char *prefix, bool change)
{
    const ft_adapter_tensor *tensor = &c->run.session.adapter.tensor[t];
    char key[FT_TENSOR_NAME + 64], name[FT_TENSOR_NAME + 80];
    golden_distance d = {0};
    int64_t n;
    ft_adapter_tensor_name(&c->run.session.shape, tensor, key);
    snprintf(name, sizeof name, "%s%s", prefix, key);
    float *theirs = golden_read(&c->golden, name, &n), *origin = change ? golden_read(&c->init, key, &n) : NULL;
    for (int64_t i = 0; i < n; i++) {
        d.wrong += pow((double)ours[tensor->offset + i] - (double)theirs[i], 2);
        d.all += pow((double)theirs[i] - (origin ? (double)origin[i] : 0), 2);
    }
    free(theirs);
    free(origin);
    return d;
}

#endif
