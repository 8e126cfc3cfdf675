// What the store tests share: a scratch directory with a model and drive directories in it, and ways to look at and damage
// what `prepare` wrote.
#ifndef FT_TESTS_OFFLOAD_STORE_SUPPORT_H
#define FT_TESTS_OFFLOAD_STORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "offload/store.h"
#include "support/make_model.h"

#define SITE_DRIVES 4
#define assert_ok(expression) site_assert_ok((expression), #expression, __FILE__, __LINE__)
#define assert_fails(expression, code, text) site_assert_fails((expression), (code), (text), #expression, __FILE__, __LINE__)

static inline void site_assert_ok(ft_status status, const char *text, const char *file, int line)
{
    if (status == FT_OK) return;
    print_error("%s = %d: %s\n", text, status, ft_error_message());
    _fail(file, line);
}

// The call fails with `code` and its message mentions `part`.
static inline void site_assert_fails(ft_status status, ft_status code, const char *part, const char *text, const char *file,
                                     int line)
{
    if (status == code && strstr(ft_error_message(), part) != NULL && strchr(ft_error_message(), '\n') == NULL) return;
    print_error("%s = %d (expected %d, \"%s\"): %s\n", text, status, code, part, ft_error_message());
    _fail(file, line);
}

// ROOT/model and ROOT/a, ROOT/b, ...; options name the first n_nvme of them.
typedef struct {
    char root[256], model[300];
    char drive[SITE_DRIVES][300];
    const char *nvme[SITE_DRIVES];
    ft_store_options options;
} site;

// 2 layers; q|k|v (256, 128, 128 rows) stack, gate|up (320 each) do not; a few stripes a record.
static inline ft_test_model site_model(void)
{
    return (ft_test_model){.hidden = 256, .ffn = 320, .layers = 2, .q_heads = 2, .kv_heads = 1, .head_dim = 128, .vocab = 512,
                           .dtype = FT_DTYPE_BF16, .seed = 7};
}

// For programs that build dozens of stores: sites lie in memory unless TMPDIR says otherwise, so that fsync costs nothing.
static bool site_in_memory;

static inline void site_prefer_memory(void)
{
    site_in_memory = access("/dev/shm", W_OK) == 0;
}

static inline void site_open(site *s, int n_drives)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || *base == 0) base = site_in_memory ? "/dev/shm" : "/tmp";
    snprintf(s->root, sizeof s->root, "%s/ft-store-XXXXXX", base);
    assert_non_null(mkdtemp(s->root));
    char *real = realpath(s->root, NULL);
    snprintf(s->root, sizeof s->root, "%s", real);
    free(real);
    snprintf(s->model, sizeof s->model, "%s/model", s->root);
    assert_ok(ft_make_directories(s->model));
    for (int d = 0; d < SITE_DRIVES; d++) {
        snprintf(s->drive[d], sizeof s->drive[d], "%s/%c", s->root, 'a' + d);
        assert_ok(ft_make_directories(s->drive[d]));
        s->nvme[d] = s->drive[d];
    }
    s->options = (ft_store_options){.nvme = s->nvme, .n_nvme = n_drives, .io = {.engine = "posix"}, .quiet = true};
}

// Where O_DIRECT and io_uring are at home.
static inline void site_open_on_disk(site *s, int n_drives)
{
    bool in_memory = site_in_memory;
    site_in_memory = false;
    site_open(s, n_drives);
    s->options.io.engine = "auto";
    site_in_memory = in_memory;
}

static inline void site_close(site *s)
{
    assert_ok(ft_remove_tree(s->root));
}

static inline void site_clear_drives(const site *s)
{
    for (int d = 0; d < SITE_DRIVES; d++) {
        assert_ok(ft_remove_tree(s->drive[d]));
        assert_ok(ft_make_directories(s->drive[d]));
    }
}

static inline ft_store *site_open_store(const site *s)
{
    char id[FT_HASH_TEXT];
    ft_store *store;
    assert_ok(ft_store_id(s->model, s->options.format, id));
    assert_ok(ft_store_open(&store, s->model, id, &s->options));
    return store;
}

// Status of opening the model's store, closing it again.
static inline ft_status site_try_open(const site *s)
{
    char id[FT_HASH_TEXT];
    ft_store *store;
    assert_ok(ft_store_id(s->model, s->options.format, id));
    ft_status status = ft_store_open(&store, s->model, id, &s->options);
    if (status == FT_OK) ft_store_close(store);
    return status;
}

// DRIVE/ft-store/ID/name, in a buffer per thread that the next call overwrites.
static inline const char *site_store_path(const site *s, int drive, const char *name)
{
    static _Thread_local char path[700];
    char id[FT_HASH_TEXT];
    assert_ok(ft_store_id(s->model, s->options.format, id));
    snprintf(path, sizeof path, "%s/ft-store/%s%s%s", s->drive[drive], id, name[0] ? "/" : "", name);
    return path;
}

static inline char *site_read_file(const char *path, size_t *bytes)
{
    char *data;
    assert_ok(ft_file_read(path, (size_t)1 << 30, &data, bytes));
    return data;
}

static inline void site_flip_byte(const char *path, int64_t offset)
{
    size_t bytes;
    char *data = site_read_file(path, &bytes);
    assert_true(offset < (int64_t)bytes);
    data[offset] ^= 1;
    assert_ok(ft_file_write(path, data, bytes));
    ft_free(data);
}

// The data files of all drives of two builds hold the same bytes.
static inline void site_save_data(const site *s, char *data[SITE_DRIVES], size_t bytes[SITE_DRIVES])
{
    for (int d = 0; d < s->options.n_nvme; d++) data[d] = site_read_file(site_store_path(s, d, "data"), &bytes[d]);
}

static inline void site_assert_data(const site *s, char *const data[SITE_DRIVES], const size_t bytes[SITE_DRIVES])
{
    for (int d = 0; d < s->options.n_nvme; d++) {
        size_t n;
        char *now = site_read_file(site_store_path(s, d, "data"), &n);
        assert_int_equal(n, bytes[d]);
        assert_memory_equal(now, data[d], n);
        ft_free(now);
    }
}

static inline void site_free_data(const site *s, char *data[SITE_DRIVES])
{
    for (int d = 0; d < s->options.n_nvme; d++) ft_free(data[d]);
}

#endif
