// What the tests of the hub share: a hub on the loopback over generated repositories, and an empty cache.
//
//   org/model      config.json, tokenizer.json (both small), model-0000[12]-of-00002.safetensors, the index, sub/notes.txt,
//                  pytorch_model.bin, twin.json equal to config.json
//   org/model@v1   config.json alone, another one
//   gated/..., private/... as org/..., named gated-model and private-model
//   datasets: org/rows   data/train.jsonl, README.md
#ifndef FT_TESTS_IO_HUB_SUPPORT_H
#define FT_TESTS_IO_HUB_SUPPORT_H

#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "io/hub.h"
#include "support/hub_server.h"

#define HUB_TOKEN "hf_AbCdEfSecret"
enum { SHARD_BYTES = 3 * MIB + 12345, SHARD_2_BYTES = 200 * KIB, BIN_BYTES = 100 * KIB };

static char *hub_root, *hub_cache;
static hub_server *hub;

// One option of the hub from now on.
#define HUB_SET(option, value)                            \
    do {                                                  \
        hub_server_options options_ = hub_server_get(hub); \
        options_.option = (value);                        \
        hub_server_set(hub, &options_);                   \
    } while (0)

static inline char *hub_path(const char *format, const char *part)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];
    int n = snprintf(path, sizeof paths[0], "%s/", hub_root);
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(path + n, sizeof paths[0] - (size_t)n, format, part);
    return path;
}

static inline void hub_write(const char *path, const void *data, size_t bytes)
{
    char *parent = ft_strndup(path, (size_t)(strrchr(path, '/') - path));
    assert_ok(ft_make_directories(parent));
    assert_ok(ft_file_write(path, data, bytes));
    ft_free(parent);
}

static inline void hub_write_text(const char *path, const char *text)
{
    hub_write(path, text, strlen(text));
}

static inline void hub_write_stamped(const char *path, size_t bytes, uint64_t file)
{
    char *data = aligned_buffer(4 * MIB);
    stamp(data, 4 * MIB, file, 0, 1);
    hub_write(path, data, bytes);
    free(data);
}

static inline void hub_make_model(const char *name)
{
    hub_write_text(hub_path("served/models/%s/config.json", name), "{\"model_type\": \"llama\"}");
    hub_write_text(hub_path("served/models/%s/twin.json", name), "{\"model_type\": \"llama\"}");
    hub_write_text(hub_path("served/models/%s/tokenizer.json", name), "{\"model\": {}}");
    hub_write_text(hub_path("served/models/%s/sub/notes.txt", name), "notes");
    hub_write_text(hub_path("served/models/%s/model.safetensors.index.json", name),
                   "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\", \"b\": \"model-00002-of-00002.safetensors\"}}");
    hub_write_stamped(hub_path("served/models/%s/model-00001-of-00002.safetensors", name), SHARD_BYTES, 1);
    hub_write_stamped(hub_path("served/models/%s/model-00002-of-00002.safetensors", name), SHARD_2_BYTES, 2);
    hub_write_stamped(hub_path("served/models/%s/pytorch_model.bin", name), BIN_BYTES, 3);
}

static inline int hub_set_up(void **state)
{
    hub_root = support_directory();
    hub_make_model("org/model");
    hub_make_model("org/gated-model");
    hub_make_model("org/private-model");
    hub_write_text(hub_path("served/models/%s/config.json", "org/model@v1"), "{\"model_type\": \"older\"}");
    hub_write_text(hub_path("served/datasets/%s/data/train.jsonl", "org/rows"), "{\"text\": \"a\"}\n");
    hub_write_text(hub_path("served/datasets/%s/README.md", "org/rows"), "# Rows\n");
    hub_write_text(hub_path("served/datasets/%s/empty.txt", "org/rows"), "");
    static char served[1024];
    snprintf(served, sizeof served, "%s/served", hub_root);
    hub = hub_server_start(&(hub_server_options){.directory = served, .token = HUB_TOKEN});
    if (hub == NULL) return 1;
    setenv("HF_ENDPOINT", hub_server_endpoint(hub), 1);
    setenv("NO_PROXY", "127.0.0.1", 1);
    ft_log_set_level(FT_LOG_ERROR);
    return 0;
}

static inline int hub_tear_down(void **state)
{
    hub_server_stop(hub);
    support_remove(hub_root);
    return 0;
}

// Before each test: no faults, no counts, an empty cache, no token.
static inline int hub_begin(void **state)
{
    static const char *const unset[] = {"HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HF_TOKEN_PATH", "HF_HUB_DOWNLOAD_TIMEOUT", "FT_HTTP_RETRIES"};
    hub_server_options before = hub_server_get(hub);
    hub_server_set(hub, &(hub_server_options){.directory = before.directory, .token = before.token});
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++) unsetenv(unset[i]);
    setenv("HF_HOME", hub_path("%s", "home"), 1);
    hub_cache = ft_strdup(hub_path("%s", "home/hub"));
    hub_server_reset(hub);
    return 0;
}

static inline int hub_end(void **state)
{
    ft_free(hub_cache);
    return ft_remove_tree(hub_path("%s", "home"));
}

#define hub_test(function) cmocka_unit_test_setup_teardown(function, hub_begin, hub_end)

static inline ft_status hub_get(const char *id, const ft_hub_options *options, char **snapshot)
{
    return ft_hub_obtain_files(FT_HUB_MODEL, id, NULL, options, NULL, snapshot);
}

static inline bool hub_equal(const char *one, const char *other)
{
    char *a, *b;
    size_t n, m;
    assert_ok(ft_file_read(one, 64 * MIB, &a, &n));
    assert_ok(ft_file_read(other, 64 * MIB, &b, &m));
    bool equal = n == m && memcmp(a, b, n) == 0;
    ft_free(a);
    ft_free(b);
    return equal;
}

// Both shards and the small files of the snapshot are the hub's.
static inline void hub_check_model(const char *snapshot)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = ft_path_join(snapshot, names[i]);
        if (!hub_equal(path, hub_path("served/models/org/model/%s", names[i]))) fail_msg("%s differs", names[i]);
        ft_free(path);
    }
}

static inline hub_server_counts hub_counts(void)
{
    hub_server_counts counts;
    hub_server_count(hub, &counts);
    return counts;
}

// Nothing unfinished is left in the cache.
static inline void hub_check_clean(void)
{
    char command[1200], line[256] = "";
    snprintf(command, sizeof command, "find %s -name '*.incomplete*' -o -name '*.part*' -o -path '*.unfinished/*' -o -name '*.link'", hub_cache);
    FILE *pipe = popen(command, "r");
    if (fgets(line, sizeof line, pipe)) fail_msg("left: %s", line);
    pclose(pipe);
}

#endif
