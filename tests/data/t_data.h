// What the data tests share: a scratch directory with files, tokenizers, a configuration with one dataset.
#ifndef FT_TESTS_DATA_T_DATA_H
#define FT_TESTS_DATA_T_DATA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/memory.h"
#include "data/dataset.h"

#define T_HELPER __attribute__((unused)) static
#define GOLDEN "tests/data/golden/"
#define t_ok(expression) t_check_ok((expression), #expression, __FILE__, __LINE__)
// The expression fails with `status` and its message holds `part`.
#define t_fails(expression, status, part) t_check_fails((expression), (status), (part), #expression, __FILE__, __LINE__)

T_HELPER void t_check_ok(ft_status status, const char *text, const char *file, int line)
{
    if (status == FT_OK) return;
    print_error("%s = %d: %s\n", text, status, ft_error_message());
    _fail(file, line);
}

T_HELPER void t_check_fails(ft_status status, ft_status expected, const char *part, const char *text, const char *file,
                            int line)
{
    bool one_line = strchr(ft_error_message(), '\n') == NULL;
    if (status == expected && one_line && strstr(ft_error_message(), part) != NULL) return;
    print_error("%s = %d (\"%s\"), expected %d with \"%s\" in one line\n", text, status, ft_error_message(), expected, part);
    _fail(file, line);
}

static char t_directory[512];

// cmocka group fixtures: a fresh directory, removed at the end.
T_HELPER int t_setup(void **state)
{
    const char *root = getenv("TMPDIR");
    snprintf(t_directory, sizeof t_directory, "%s/ft-data-XXXXXX", root && *root ? root : "/tmp");
    return mkdtemp(t_directory) == NULL;
}

T_HELPER int t_teardown(void **state)
{
    return ft_remove_tree(t_directory) != FT_OK;
}

// Path of a file in the directory; valid until four more calls.
T_HELPER char *t_path(const char *name)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", t_directory, name);
    return path;
}

T_HELPER char *t_write(const char *name, const char *text)
{
    char *path = t_path(name);
    t_ok(ft_file_write(path, text, strlen(text)));
    return path;
}

T_HELPER ft_tokenizer *t_tokenizer(const char *name)
{
    char path[256];
    ft_tokenizer *tokenizer;
    snprintf(path, sizeof path, GOLDEN "%s", name);
    t_ok(ft_tokenizer_open(&tokenizer, path));
    return tokenizer;
}

// Ids of a text; the caller frees them with ft_ids_free.
T_HELPER ft_ids t_ids(const ft_tokenizer *tokenizer, const char *text, unsigned flags)
{
    ft_ids ids = {0};
    t_ok(ft_tokenize(tokenizer, text, strlen(text), flags, &ids));
    return ids;
}

// The lines of a JSONL file as an array; the caller drops it.
T_HELPER json_t *t_json_lines(const char *path)
{
    char *text, *rest = NULL;
    size_t bytes;
    t_ok(ft_file_read(path, 1 << 24, &text, &bytes));
    json_t *list = json_array();
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        assert_int_equal(json_array_append_new(list, json_loads(line, JSON_ALLOW_NUL, NULL)), 0);
    }
    ft_free(text);
    return list;
}

// Runs `work` with its n-th allocation failing, n = 1, 2, ..., until none fails. Each time it must fail with FT_E_NOMEM; returns
// how often it did.
T_HELPER int t_fail_each(ft_status (*work)(void))
{
    for (int n = 1;; n++) {
        ft_memory_fail_after(n);
        int64_t before = ft_memory_allocations();
        ft_status status = work();
        int64_t used = ft_memory_allocations() - before;
        ft_memory_fail_after(0);
        if (used < n) {
            t_ok(status);
            return n - 1;
        }
        assert_int_equal(status, FT_E_NOMEM);
    }
}

// A run over one dataset; change what the test is about. Strings are literals: there is nothing to free.
typedef struct {
    ft_config config;
    ft_dataset_config train, test;
} t_run;

T_HELPER void t_run_init(t_run *run, char *path)
{
    *run = (t_run){.train = {.path = path, .weight = 1}, .test = {.weight = 1}};
    run->config.datasets = (ft_dataset_list){&run->train, 1};
    run->config.sequence_len = 2048;
    run->config.excess_length_strategy = "drop";
    run->config.seed = 42;
}

// A small linear congruential generator, so that tests of shuffles do not lean on ft_rng.
T_HELPER uint32_t t_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
