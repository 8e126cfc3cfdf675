// The checkpoints of an output directory: the newest valid one, and which ones to remove.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "train/checkpoint.h"
#include "train/checkpoint_manifest.h"

#define NAME_PREFIX "checkpoint-"

typedef struct {
    char *name, *path;
    int64_t step;            // of its manifest
    struct timespec written;
} candidate;

typedef struct {
    candidate *items;        // highest step first
    int64_t n, capacity;
    bool tell;               // warn about what has no readable manifest
} candidates;

static int by_step_descending(const void *a, const void *b)
{
    const candidate *left = a, *right = b;
    return (left->step < right->step) - (left->step > right->step);
}

static void free_candidates(candidates *list)
{
    for (int64_t i = 0; i < list->n; i++) {
        ft_free(list->items[i].name);
        ft_free(list->items[i].path);
    }
    ft_free(list->items);
}

static void pass_over(const char *path)
{
    ft_warn("%s is not a valid checkpoint and is passed over: %s", path, ft_error_message());
}

static ft_status append(candidates *list, const candidate *item)
{
    if (list->n == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 8;
        candidate *grown = ft_realloc(list->items, (size_t)capacity * sizeof *grown);
        FT_ALLOC_CHECK(grown);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->n++] = *item;
    return FT_OK;
}

// Takes the directory up if it has a manifest; a damaged one is no reason to fail.
static ft_status consider(candidates *list, const char *output, const char *name)
{
    struct stat info;
    ft_checkpoint_manifest manifest = {0};
    candidate item = {.name = ft_strdup(name), .path = ft_path_join(output, name)};
    ft_status status = item.name && item.path ? FT_OK : FT_E_NOMEM;
    bool present = status == FT_OK && stat(item.path, &info) == 0 && S_ISDIR(info.st_mode), valid = false;
    if (present) {
        status = ft_checkpoint_manifest_read(&manifest, item.path);
        valid = status == FT_OK;
        item.step = manifest.step;
        item.written = info.st_mtim;
        ft_checkpoint_manifest_free(&manifest);
        if (!valid && status != FT_E_NOMEM && list->tell) pass_over(item.path);
    }
    if (status != FT_E_NOMEM) status = valid ? append(list, &item) : FT_OK;
    if (valid && status == FT_OK) return FT_OK;
    ft_free(item.name);
    ft_free(item.path);
    return status;
}

static ft_status list_candidates(const char *output, bool tell, candidates *list)
{
    *list = (candidates){.tell = tell};
    DIR *stream = opendir(output);
    if (stream == NULL) return errno == ENOENT ? FT_OK : ft_error_errno(FT_E_IO, errno, "%s", output);
    ft_status status = FT_OK;
    struct dirent *entry;
    while (status == FT_OK && (entry = readdir(stream)) != NULL)
        if (strncmp(entry->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0) status = consider(list, output, entry->d_name);
    closedir(stream);
    if (status != FT_OK) free_candidates(list);
    else if (list->n > 0) qsort(list->items, (size_t)list->n, sizeof *list->items, by_step_descending);
    return status;
}

// Index of the first one that verifies, n if none does.
static ft_status find_valid(const candidates *list, int64_t *index)
{
    for (*index = 0; *index < list->n; (*index)++) {
        ft_status status = ft_checkpoint_verify(list->items[*index].path);
        if (status == FT_OK || status == FT_E_NOMEM) return status;
        if (list->tell) pass_over(list->items[*index].path);
    }
    return FT_OK;
}

ft_status ft_checkpoint_latest(const char *output, char **directory)
{
    candidates list;
    int64_t valid = 0;
    *directory = NULL;
    FT_TRY(list_candidates(output, true, &list));
    ft_status status = find_valid(&list, &valid);
    if (status == FT_OK && valid == list.n) status = ft_error(FT_E_NOT_FOUND, "%s: holds no valid checkpoint", output);
    if (status == FT_OK) {
        *directory = list.items[valid].path;
        list.items[valid].path = NULL;
    }
    free_candidates(&list);
    return status;
}

// Out of sight by one rename first, under a name that ft_commit_sweep removes: no half a checkpoint stays if the process dies.
static ft_status remove_checkpoint(const char *output, const candidate *item)
{
    char *hidden = ft_format("%s/.%s.tmp-%d", output, item->name, (int)getpid());
    FT_ALLOC_CHECK(hidden);
    ft_status status = ft_remove_tree(hidden);
    if (status == FT_OK && rename(item->path, hidden) != 0) status = ft_error_errno(FT_E_IO, errno, "%s: cannot be removed", item->path);
    if (status == FT_OK) status = ft_remove_tree(hidden);
    ft_free(hidden);
    return status;
}

// The one written last may have a lower step than others: a run resumed from an older state must not lose what it just saved.
static int64_t last_written(const candidates *list)
{
    int64_t last = 0;
    for (int64_t i = 1; i < list->n; i++) {
        const struct timespec *a = &list->items[i].written, *b = &list->items[last].written;
        if (a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec)) last = i;
    }
    return last;
}

ft_status ft_checkpoint_prune(const char *output, int64_t keep)
{
    candidates list;
    int64_t valid = 0;
    FT_ASSERT(keep >= 1);
    FT_TRY(list_candidates(output, false, &list));
    ft_status status = list.n > keep ? find_valid(&list, &valid) : FT_OK;
    int64_t last = last_written(&list);
    for (int64_t i = list.n - 1; i >= keep && status == FT_OK; i--)
        if (i != valid && i != last) status = remove_checkpoint(output, &list.items[i]);
    free_candidates(&list);
    return status;
}
