// What the tests of the verbs share: a random model with the demo's tokenizer, a few Alpaca records, one drive.
#ifndef FT_TESTS_CLI_VERB_FIXTURE_H
#define FT_TESTS_CLI_VERB_FIXTURE_H

#include <jansson.h>

#include "fault/files.h"
#include "support/make_model.h"

typedef struct {
    char root[64], model[80], data[80], nvme[80], output[80];
} verbs;

static const ft_test_model verbs_description = {.hidden = 128, .ffn = 256, .layers = 2, .q_heads = 2, .kv_heads = 1, .head_dim = 64, .vocab = 2048,
                                                .dtype = FT_DTYPE_BF16, .seed = 21};

static inline void verbs_make(verbs *v)
{
    static const char *const tokenizer[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"};
    const char *base = getenv("TMPDIR");
    *v = (verbs){0};
    assert_in_range(snprintf(v->root, sizeof v->root, "%s/ft-verbs-XXXXXX", base && *base ? base : "/tmp"), 1, sizeof v->root - 1);
    assert_non_null(mkdtemp(v->root));
    snprintf(v->model, sizeof v->model, "%s/model", v->root);
    snprintf(v->data, sizeof v->data, "%s/data.jsonl", v->root);
    snprintf(v->nvme, sizeof v->nvme, "%s/drive", v->root);
    snprintf(v->output, sizeof v->output, "%s/out", v->root);
    done(ft_make_directories(v->model));
    done(ft_test_model_write(&verbs_description, v->model));
    for (size_t i = 0; i < sizeof tokenizer / sizeof tokenizer[0]; i++)
        copy_file(at("configs/demo/%s", tokenizer[i]), at("%s/%s", v->model, tokenizer[i]));
    write_text(v->data, "{\"instruction\": \"Name a fruit.\", \"output\": \"An apple.\"}\n"
                        "{\"instruction\": \"Name an animal.\", \"input\": \"With stripes.\", \"output\": \"A zebra.\"}\n"
                        "{\"instruction\": \"Say hello.\", \"output\": \"Hello there, my friend!\"}\n");
}

static inline void verbs_remove(verbs *v)
{
    ft_remove_tree(v->root);
}

// Runs, requires exit code 0, returns what it printed (heap).
#define verbs_output(...) verbs_output_list((const char *const[]){__VA_ARGS__, NULL})
static inline char *verbs_output_list(const char *const *arguments)
{
    program p = {0};
    program_run_list(&p, arguments);
    if (p.exit_code != 0) fail_msg("%s: exit code %d, signal %d\n%s", arguments[0], p.exit_code, p.signal, p.err);
    free(p.err);
    return p.out;
}

static inline json_t *verbs_json(char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) fail_msg("line %d: %s\n%s", error.line, error.text, text);
    free(text);
    return json;
}

static inline int64_t verbs_number(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) fail_msg("no number %s", key);
    return (int64_t)json_number_value(value);
}

static inline void contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("\"%s\" is not in\n%s", part, text);
}

#endif
