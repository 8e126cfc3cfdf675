// Downloads into the cache, in huggingface_hub's own layout:
//
//   CACHE/models--ORG--NAME/
//     blobs/HASH                       a whole file: SHA-256 of a large one, git's id of a small one
//     blobs/HASH.partial.incomplete    while it is not whole, with HASH.partial.incomplete.ranges (hub_part.h)
//     snapshots/COMMIT/PATH            link to ../../blobs/HASH, with ../ for each folder in PATH
//     refs/REVISION                    text: the commit, written when everything that was wanted is there
//     .unfinished/COMMIT               stands while it is not, unless a part was asked for by name
//   CACHE/.locks/models--ORG--NAME/HASH.lock   flock(2), as huggingface_hub holds it
// A plain HASH.incomplete is another tool's, whole from its start: its bytes are taken over. Ours has a name of its own because it
// has holes, and a tool that goes on from a file's length would take them for bytes.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/commit.h"
#include "io/hub_fetch.h"

enum { MAX_REFERENCE = 256 };  // bytes

typedef struct {
    const ft_hub_listing *listing;
    const ft_hub_options *options;
    char *cache, *repository, *snapshot, *locks, *unfinished;
    ft_hub_item *items;
    int n;
} download;

// ---- files

static ft_status finish(ft_hub_item *item)
{
    const download *d = item->user;
    if (!ft_path_exists(item->target)) FT_TRY(ft_hub_part_finish(&item->part, item->target));
    return ft_hub_link(d->snapshot, item->part.file);
}

static ft_status add_item(download *d, const ft_hub_file *file, const char *blob)
{
    ft_hub_item *item = &d->items[d->n];
    *item = (ft_hub_item){.target = ft_strdup(blob), .lock_path = ft_format("%s/%s.lock", d->locks, file->hash), .finish = finish, .user = d, .lock = -1};
    ft_status status = ft_hub_part_init(&item->part, file, ft_format("%s.partial.incomplete", blob));
    d->n++;
    item->part.plain_path = ft_format("%s.incomplete", blob);
    int64_t bytes;  // they need no room
    if (item->part.plain_path && !ft_path_exists(item->part.path) && ft_path_size(item->part.plain_path, &bytes) == FT_OK && bytes <= file->bytes)
        item->part.resumed = bytes;
    return item->target && item->lock_path && item->part.plain_path ? status : FT_E_NOMEM;
}

static ft_status add_missing(download *d, const ft_hub_file *file)
{
    char *blob = ft_format("%s/blobs/%s", d->repository, file->hash);
    FT_ALLOC_CHECK(blob);
    ft_status status = add_item(d, file, blob);
    ft_free(blob);
    return status;
}

// A blob that is there has been checked by whoever gave it its name; its length is looked at again.
static ft_status look_for(download *d, const ft_hub_file *file, bool *missing)
{
    int64_t bytes;
    char *blob = ft_format("%s/blobs/%s", d->repository, file->hash);
    FT_ALLOC_CHECK(blob);
    ft_status status = FT_OK;
    bool there = ft_path_size(blob, &bytes) == FT_OK;
    if (there && bytes != file->bytes && unlink(blob) != 0) status = ft_error_errno(FT_E_IO, errno, "%s: wrong length, and cannot be removed", blob);
    there = there && bytes == file->bytes;
    if (status == FT_OK && there) status = ft_hub_link(d->snapshot, file);
    ft_free(blob);
    *missing = !there;
    return status;
}

static int by_hash(const void *a, const void *b)
{
    const ft_hub_file *x = *(const ft_hub_file *const *)a, *y = *(const ft_hub_file *const *)b;
    int order = strcmp(x->hash, y->hash);
    return order ? order : (x > y) - (x < y);
}

static int by_place(const void *a, const void *b)
{
    const ft_hub_file *x = *(const ft_hub_file *const *)a, *y = *(const ft_hub_file *const *)b;
    return (x > y) - (x < y);
}

// The first file of each hash, in the listing's order.
static ft_status add_items(download *d, const ft_hub_file **files, int n)
{
    int kept = 0;
    if (n == 0) return FT_OK;
    qsort(files, (size_t)n, sizeof *files, by_hash);
    for (int i = 0; i < n; i++)
        if (i == 0 || strcmp(files[i]->hash, files[kept - 1]->hash) != 0) files[kept++] = files[i];
    qsort(files, (size_t)kept, sizeof *files, by_place);
    d->items = FT_NEW_ARRAY(ft_hub_item, kept);
    FT_ALLOC_CHECK(d->items);
    for (int i = 0; i < kept; i++) FT_TRY(add_missing(d, files[i]));
    return FT_OK;
}

static ft_status choose_files(download *d)
{
    int chosen = 0, n = 0;
    ft_status status = FT_OK;
    const ft_hub_file **files = FT_NEW_ARRAY(const ft_hub_file *, d->listing->n_files + 1);
    FT_ALLOC_CHECK(files);
    for (int i = 0; i < d->listing->n_files && status == FT_OK; i++) {
        bool missing = false;
        files[n] = &d->listing->files[i];
        if (!ft_hub_chosen(d->listing, d->options, files[n]->path)) continue;
        status = look_for(d, files[n], &missing);
        n += missing;
        chosen++;
    }
    if (status == FT_OK) status = add_items(d, files, n);
    ft_free(files);
    if (status != FT_OK) return status;
    return chosen ? FT_OK : ft_error(FT_E_INPUT, "%s: none of its %d files is wanted; --include GLOB names others, --all takes every one", d->listing->repository, d->listing->n_files);
}

// ---- before and after

static ft_status make_paths(download *d)
{
    d->cache = ft_hub_cache_directory();
    d->repository = d->cache ? ft_hub_repository_directory(d->cache, d->listing->kind, d->listing->repository) : NULL;
    FT_ALLOC_CHECK(d->repository);
    d->snapshot = ft_format("%s/snapshots/%s", d->repository, d->listing->commit);
    d->locks = ft_format("%s/.locks/%s", d->cache, ft_path_base(d->repository));
    d->unfinished = ft_format("%s/.unfinished/%s", d->repository, d->listing->commit);
    return d->snapshot && d->locks && d->unfinished ? FT_OK : FT_E_NOMEM;
}

static ft_status make_folder(const char *parent, const char *name)
{
    char *path = ft_path_join(parent, name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_make_directories(path);
    ft_free(path);
    return status;
}

// The tag by which backup programs know a cache (bford.info/cachedir).
static ft_status tag_cache(const download *d)
{
    static const char text[] = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of the Hugging Face hub.\n";
    char *path = ft_path_join(d->cache, "CACHEDIR.TAG");
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_exists(path) ? FT_OK : ft_file_write(path, text, sizeof text - 1);
    ft_free(path);
    return status;
}

static ft_status make_folders(const download *d)
{
    FT_TRY(make_folder(d->repository, "blobs"));
    FT_TRY(make_folder(d->repository, "refs"));
    FT_TRY(make_folder(d->repository, ".unfinished"));
    FT_TRY(ft_make_directories(d->snapshot));
    FT_TRY(ft_make_directories(d->locks));
    return tag_cache(d);
}

static bool takes_part(const download *d)
{
    return d->options && d->options->n_include > 0;
}

static ft_status mark_unfinished(const download *d)
{
    return takes_part(d) ? FT_OK : ft_file_write(d->unfinished, "", 0);
}

static ft_status mark_finished(const download *d)
{
    if (takes_part(d) || unlink(d->unfinished) == 0 || errno == ENOENT) return FT_OK;
    return ft_error_errno(FT_E_IO, errno, "%s: cannot be removed", d->unfinished);
}

// Whole before it is seen; a revision may have slashes. A commit needs no reference.
static ft_status write_reference(const download *d)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;  // a commit's temporary file is named by the process
    if (strcmp(d->listing->revision, d->listing->commit) == 0) return FT_OK;
    char *path = ft_format("%s/refs/%s", d->repository, d->listing->revision);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_hub_make_parent(path);
    pthread_mutex_lock(&one_at_a_time);
    if (status == FT_OK) status = ft_commit_file(path, d->listing->commit, strlen(d->listing->commit));
    pthread_mutex_unlock(&one_at_a_time);
    ft_free(path);
    return status;
}

// Files of equal bytes share a blob: each has its link once it is there.
static ft_status link_all(const download *d)
{
    for (int i = 0; i < d->listing->n_files; i++)
        if (ft_hub_chosen(d->listing, d->options, d->listing->files[i].path)) FT_TRY(ft_hub_link(d->snapshot, &d->listing->files[i]));
    return FT_OK;
}

// ---- nothing to do

static bool is_referenced(const download *d)
{
    if (strcmp(d->listing->revision, d->listing->commit) == 0) return true;
    char *path = ft_format("%s/refs/%s", d->repository, d->listing->revision), *text = NULL;
    size_t bytes;
    bool same = path && ft_file_read(path, MAX_REFERENCE, &text, &bytes) == FT_OK && strcmp(text, d->listing->commit) == 0;
    ft_free(text);
    ft_free(path);
    return same;
}

// Then nothing is written: the cache may be one that this user can only read.
static bool is_there(const download *d)
{
    int chosen = 0;
    for (int i = 0; i < d->listing->n_files; i++) {
        const ft_hub_file *file = &d->listing->files[i];
        if (!ft_hub_chosen(d->listing, d->options, file->path)) continue;
        if (!ft_hub_is_linked(d->snapshot, file)) return false;
        chosen++;
    }
    return chosen > 0 && !ft_path_exists(d->unfinished) && is_referenced(d);
}

static ft_status run(download *d, const volatile int *cancel)
{
    FT_TRY(make_paths(d));
    if (is_there(d)) return FT_OK;
    FT_TRY(make_folders(d));
    FT_TRY(mark_unfinished(d));
    FT_TRY(choose_files(d));
    FT_TRY(ft_hub_check_room(d->items, d->n, d->repository, d->listing->repository));
    if (d->n) FT_TRY(ft_hub_fetch(d->listing, d->items, d->n, d->options, cancel));
    FT_TRY(link_all(d));
    FT_TRY(write_reference(d));
    return mark_finished(d);
}

ft_status ft_hub_download(const ft_hub_listing *listing, const ft_hub_options *options, const volatile int *cancel, char **snapshot)
{
    download d = {.listing = listing, .options = options};
    *snapshot = NULL;
    ft_status status = run(&d, cancel);
    if (status == FT_OK) {
        *snapshot = d.snapshot;
        d.snapshot = NULL;
    }
    for (int i = 0; i < d.n; i++) ft_hub_item_free(&d.items[i]);
    ft_free(d.items);
    ft_free(d.cache);
    ft_free(d.repository);
    ft_free(d.snapshot);
    ft_free(d.locks);
    ft_free(d.unfinished);
    return status;
}
