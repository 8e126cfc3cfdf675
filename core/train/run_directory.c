#include "train/run_directory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/commit.h"
#include "io/hub_cache.h"

ft_status ft_run_directory_name(const ft_config *config, char **path)
{
    if (config->output_dir) {
        *path = ft_strdup(config->output_dir);
        return *path ? FT_OK : FT_E_NOMEM;
    }
    char *repository = ft_hub_repository_name(config->base_model), *model = repository ? repository : ft_strdup(config->base_model);
    FT_ALLOC_CHECK(model);
    // "DIR/" and "DIR/." are DIR.
    for (size_t n = strlen(model); n > 1 && (model[n - 1] == '/' || (model[n - 1] == '.' && model[n - 2] == '/')); n--) model[n - 1] = 0;
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

ft_status ft_run_directory_open(const char *path, bool resume, bool overwrite, int *lock)
{
    FT_TRY(ft_make_directories(path));
    char *lock_path = ft_path_join(path, ".lock");
    FT_ALLOC_CHECK(lock_path);
    ft_status status = ft_lock_file(lock_path, lock);
    ft_free(lock_path);
    FT_TRY(status);
    int found = 0;
    if (!resume && !overwrite) status = walk_run_files(path, false, &found);
    if (status == FT_OK && found > 0)
        status = ft_error(FT_E_EXISTS, "%s holds a run already; use --resume to continue it, --overwrite to start over, or another --output", path);
    if (status == FT_OK) ft_commit_sweep(path);
    else ft_unlock_file(*lock);
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
