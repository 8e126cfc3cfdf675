#include "train/run_directory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/commit.h"
#include "io/public_name.h"

#define GEMM_TABLE "gemm.txt"

ft_status ft_run_directory_name(const ft_config *config, char **path)
{
    if (config->output_dir) {
        *path = ft_strdup(config->output_dir);
        return *path ? FT_OK : FT_E_NOMEM;
    }
    char *model = ft_public_name(config->base_model);
    FT_ALLOC_CHECK(model);
    *path = NULL;
    for (int n = 1; *path == NULL || ft_path_exists(*path); n++) {
        ft_free(*path);
        *path = ft_format("ft-out/%s-%d", ft_path_base(model), n);
        if (*path == NULL) break;
    }
    ft_free(model);
    return *path ? FT_OK : FT_E_NOMEM;
}

static bool is_run_file(const char *name)
{
    static const char *const names[] = {"adapter", "metrics.jsonl", "config.resolved.yaml", "plan.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return strncmp(name, "checkpoint-", strlen("checkpoint-")) == 0;
}

// Visits the entries a run has written; `remove` deletes them. *found counts.
static ft_status walk_run_files(const char *path, bool remove, int *found)
{
    DIR *directory = opendir(path);
    if (directory == NULL) return errno == ENOENT ? FT_OK : ft_error_errno(FT_E_INPUT, errno, "%s", path);
    ft_status status = FT_OK;
    struct dirent *entry;
    while (status == FT_OK && (entry = readdir(directory)) != NULL) {
        if (!is_run_file(entry->d_name)) continue;
        (*found)++;
        if (!remove) continue;
        char *child = ft_path_join(path, entry->d_name);
        status = child ? ft_remove_tree(child) : FT_E_NOMEM;
        ft_free(child);
    }
    closedir(directory);
    return status;
}

// "a/b/c" -> "a/b" in place; false where no directory is left to name.
static bool drop_level(char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') path[--length] = 0;
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) return false;
    *slash = 0;
    return true;
}

static ft_status count_missing_levels(const char *path, int *levels)
{
    char *at = ft_strdup(path);
    FT_ALLOC_CHECK(at);
    *levels = 0;
    while (!ft_path_exists(at)) {
        (*levels)++;
        if (!drop_level(at)) break;
    }
    ft_free(at);
    return FT_OK;
}

static bool is_same_file(const char *path, int fd)
{
    struct stat named, held;
    return stat(path, &named) == 0 && fstat(fd, &held) == 0 && named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

static ft_status take_lock(const char *path, ft_run_lock *lock)
{
    char *file = ft_path_join(path, ".lock");
    FT_ALLOC_CHECK(file);
    ft_status status;
    do {
        if (lock->fd >= 0) ft_unlock_file(lock->fd);  // a refused run removed it between our open and our lock
        lock->made_file = !ft_path_exists(file);
        status = ft_make_directories(path);
        if (status == FT_OK) status = ft_lock_file(file, &lock->fd);
    } while (status == FT_OK && !is_same_file(file, lock->fd));
    ft_free(file);
    return status;
}

// The file goes while its lock is held, so that whoever gets it next sees that it is gone.
static void remove_made(const char *path, const ft_run_lock *lock)
{
    char *file = ft_path_join(path, ".lock"), *directory = ft_strdup(path);
    if (file && lock->made_file && lock->fd >= 0) unlink(file);
    for (int level = 0; directory && level < lock->made_levels && rmdir(directory) == 0; level++)
        if (!drop_level(directory)) break;
    ft_free(file);
    ft_free(directory);
}

void ft_run_directory_close(const char *path, ft_run_lock *lock, bool keep)
{
    if (!keep) remove_made(path, lock);
    if (lock->fd >= 0) ft_unlock_file(lock->fd);
    *lock = (ft_run_lock){.fd = -1};
}

static ft_status refuse_earlier_run(const char *path)
{
    int found = 0;
    FT_TRY(walk_run_files(path, false, &found));
    if (found == 0) return FT_OK;
    return ft_error(FT_E_EXISTS, "%s holds a run already; use --resume to continue it, --overwrite to start over, or another --output", path);
}

ft_status ft_run_directory_open(const char *path, bool resume, bool overwrite, ft_run_lock *lock)
{
    *lock = (ft_run_lock){.fd = -1};
    FT_TRY(count_missing_levels(path, &lock->made_levels));
    ft_status status = take_lock(path, lock);
    if (status == FT_OK && !resume && !overwrite) status = refuse_earlier_run(path);
    if (status == FT_OK) ft_commit_sweep(path);
    else ft_run_directory_close(path, lock, false);
    return status;
}

ft_status ft_run_directory_clear(const char *path)
{
    int found = 0;
    return walk_run_files(path, true, &found);
}

static ft_status write_text(const char *path, const char *name, const char *text, size_t bytes)
{
    char *file = ft_path_join(path, name);
    FT_ALLOC_CHECK(file);
    ft_status status = ft_commit_file(file, text, bytes);
    ft_free(file);
    return status;
}

static ft_status remove_table(const char *path)
{
    char *file = ft_path_join(path, GEMM_TABLE);
    FT_ALLOC_CHECK(file);
    ft_status status = ft_path_exists(file) ? ft_remove_tree(file) : FT_OK;
    ft_free(file);
    return status;
}

// Read before it is replaced: it may be the same file.
ft_status ft_run_directory_keep_table(const char *path, const char *table, bool overwrite)
{
    char *text;
    size_t bytes;
    if (table[0] == 0) return overwrite ? remove_table(path) : FT_OK;
    FT_TRY(ft_file_read(table, 16 << 20, &text, &bytes));
    ft_status status = write_text(path, GEMM_TABLE, text, bytes);
    ft_free(text);
    return status;
}

char *ft_run_directory_table_of(const char *checkpoint)
{
    return ft_path_join(checkpoint, "../" GEMM_TABLE);
}

ft_status ft_run_directory_describe(const char *path, const ft_settings *settings, const ft_plan *plan)
{
    ft_text text = {0};
    ft_status status = ft_settings_write(settings, &text);
    if (status == FT_OK) status = write_text(path, "config.resolved.yaml", text.data, text.length);
    ft_text_free(&text);
    FT_TRY(status);
    json_t *json = ft_plan_json(plan);
    char *dump = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    status = dump ? write_text(path, "plan.json", dump, strlen(dump)) : ft_error(FT_E_NOMEM, "out of memory while writing plan.json");
    ft_free(dump);
    if (json) json_decref(json);
    return status;
}
