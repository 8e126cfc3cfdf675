// The hub's calls replaced by ones that read a model directory: counted, across processes too, and with faults at chosen places.
// They run on the build's threads, so they assert nothing that memory could be short for.
#ifndef FT_TESTS_OFFLOAD_LOCAL_HUB_H
#define FT_TESTS_OFFLOAD_LOCAL_HUB_H

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "io/hash.h"
#include "offload/store_child.h"
#include "offload/store_hub.h"

#define HUB_FILES 64

// Shared with child processes.
typedef struct {
    atomic_int lists, reads, fetches;
    struct {
        char name[96];
        atomic_int whole;       // how often it was fetched to its end
    } file[HUB_FILES];
    _Atomic int64_t peak;       // bytes of the scratch directory's files at the end of a fetch
    atomic_int die_at;          // kill -9 in the n-th fetch, half way; 0 = never
    atomic_int wrong;           // fetches whose bytes are not the hub's
    atomic_int swapped;         // fetches that give a file with other contents than the reads did
    atomic_int spoiled;         // reads of a file's beginning that flip a byte of the header
    char commit[41];            // what the revision stands for
} local_hub;

static local_hub *hub;
static const char *hub_model, *hub_cache;  // the directory behind it; the cache

// A file of the directory, from malloc.
static inline char *hub_file_bytes(const char *name, size_t *bytes)
{
    char path[700];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", hub_model, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) abort();
    char *data = malloc((size_t)info.st_size + 1);
    *bytes = (size_t)info.st_size;
    if (data == NULL || pread(fd, data, *bytes, 0) != info.st_size) abort();
    close(fd);
    return data;
}

static inline ft_status hub_add(ft_hub_listing *listing, const char *name)
{
    size_t bytes;
    ft_hub_file *file = &listing->files[listing->n_files];
    FT_ALLOC_CHECK(file->path = ft_strdup(name));
    listing->n_files++;
    file->large = true;
    char *data = hub_file_bytes(name, &bytes);
    file->bytes = (int64_t)bytes;
    ft_hash128_text(ft_hash128_of(data, bytes), file->hash);
    free(data);
    return FT_OK;
}

static inline int hub_by_path(const void *a, const void *b)
{
    return strcmp(((const ft_hub_file *)a)->path, ((const ft_hub_file *)b)->path);
}

static inline ft_status hub_fill(ft_hub_listing *listing, const char *id, const char *revision)
{
    size_t repository = strcspn(id, "@");
    bool is_commit = revision != NULL && strlen(revision) == 40;
    FT_ALLOC_CHECK(listing->repository = ft_strndup(id, repository));
    FT_ALLOC_CHECK(listing->revision = ft_strdup(id[repository] ? id + repository + 1 : revision != NULL ? revision : "main"));
    FT_ALLOC_CHECK(listing->commit = ft_strdup(is_commit ? revision : hub->commit));
    FT_ALLOC_CHECK(listing->files = FT_NEW_ARRAY(ft_hub_file, HUB_FILES));
    ft_status status = FT_OK;
    DIR *stream = opendir(hub_model);
    for (struct dirent *item; status == FT_OK && (item = readdir(stream)) != NULL;)
        if (item->d_name[0] != '.') status = hub_add(listing, item->d_name);
    closedir(stream);
    qsort(listing->files, (size_t)listing->n_files, sizeof *listing->files, hub_by_path);
    return status;
}

static inline ft_status hub_list(ft_hub_listing *listing, ft_hub_kind kind, const char *id, const char *revision, const volatile int *cancel)
{
    atomic_fetch_add(&hub->lists, 1);
    *listing = (ft_hub_listing){.kind = kind};
    ft_status status = hub_fill(listing, id, revision);
    if (status != FT_OK) ft_hub_listing_free(listing);
    return status;
}

static inline ft_status hub_copy(const char *name, const char *to)
{
    size_t bytes;
    char *data = hub_file_bytes(name, &bytes);
    ft_status status = ft_file_write(to, data, bytes);
    free(data);
    return status;
}

// The small files alone, as the globs ask for.
static inline ft_status hub_download(const ft_hub_listing *listing, const ft_hub_options *options, const volatile int *cancel, char **snapshot)
{
    char to[700];
    assert_true(options->n_include > 0 && !options->all);
    snprintf(to, sizeof to, "%s/models--org--name/snapshots/%s", hub_cache, listing->commit);
    FT_TRY(ft_make_directories(to));
    size_t end = strlen(to);
    for (int i = 0; i < listing->n_files; i++) {
        if (!ft_name_ends_with(listing->files[i].path, ".json")) continue;
        snprintf(to + end, sizeof to - end, "/%s", listing->files[i].path);
        FT_TRY(hub_copy(listing->files[i].path, to));
    }
    *snapshot = ft_strndup(to, end);
    return *snapshot != NULL ? FT_OK : FT_E_NOMEM;
}

static inline int64_t hub_directory_bytes(const char *path)
{
    struct stat info;
    int64_t bytes = 0;
    DIR *stream = opendir(path);
    for (struct dirent *item; stream != NULL && (item = readdir(stream)) != NULL;)
        if (fstatat(dirfd(stream), item->d_name, &info, 0) == 0 && S_ISREG(info.st_mode)) bytes += info.st_size;
    if (stream != NULL) closedir(stream);
    return bytes;
}

static inline void hub_count_whole(const char *name)
{
    int i = 0;
    while (hub->file[i].name[0] && strcmp(hub->file[i].name, name) != 0) i++;
    snprintf(hub->file[i].name, sizeof hub->file[i].name, "%s", name);
    atomic_fetch_add(&hub->file[i].whole, 1);
}

static inline void hub_measure(const char *path)
{
    char directory[700];
    snprintf(directory, sizeof directory, "%.*s", (int)(ft_path_base(path) - path - 1), path);
    int64_t bytes = hub_directory_bytes(directory);
    if (bytes > atomic_load(&hub->peak)) atomic_store(&hub->peak, bytes);
}

static inline ft_status hub_fetch(const ft_hub_listing *listing, const ft_hub_file *file, const char *path, const ft_hub_options *options,
                                  const volatile int *cancel)
{
    char part[700];
    size_t bytes;
    snprintf(part, sizeof part, "%s.part", path);
    int n = atomic_fetch_add(&hub->fetches, 1) + 1;
    if (__atomic_load_n(cancel, __ATOMIC_RELAXED)) return ft_error(FT_E_STOPPED, "stopped");
    if (atomic_load(&hub->wrong) > 0) {
        atomic_fetch_sub(&hub->wrong, 1);
        return ft_error(FT_E_CORRUPT, "%s: %s: its hash is not the hub's", listing->repository, file->path);
    }
    char *data = hub_file_bytes(file->path, &bytes);
    bool dies = n == atomic_load(&hub->die_at);
    if (atomic_load(&hub->swapped) > 0) {
        atomic_fetch_sub(&hub->swapped, 1);
        data[bytes - 1] ^= 1;  // in the last sample
    }
    ft_status status = ft_file_write(part, data, dies ? bytes / 2 : bytes);
    free(data);
    if (dies) raise(SIGKILL);
    FT_TRY(status);
    if (rename(part, path) != 0) abort();
    hub_measure(path);
    hub_count_whole(file->path);
    return FT_OK;
}

static inline ft_status hub_read(const ft_hub_listing *listing, const ft_hub_file *file, int64_t offset, void *dst, int64_t bytes,
                                 const volatile int *cancel)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", hub_model, file->path);
    if (offset < 0 || bytes <= 0 || offset + bytes > file->bytes) abort();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, dst, (size_t)bytes, offset) != bytes) abort();
    close(fd);
    if (offset == 0 && atomic_fetch_sub(&hub->spoiled, 1) > 0) ((char *)dst)[8] ^= 1;
    atomic_fetch_add(&hub->reads, 1);
    return FT_OK;
}

// From here on the hub is the site's model directory.
static inline void hub_open(const site *s)
{
    static char cache[300];
    snprintf(cache, sizeof cache, "%s/cache", s->root);
    if (hub == NULL) hub = mmap(NULL, sizeof *hub, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(hub, MAP_FAILED);
    memset(hub, 0, sizeof *hub);
    memset(hub->commit, 'a', 40);
    hub_model = s->model;
    hub_cache = cache;
    ft_store_hub = (ft_store_hub_calls){hub_list, hub_download, hub_fetch, hub_read};
}

static inline char *hub_snapshot(char path[700], char commit)
{
    char text[41] = "";
    memset(text, commit, 40);
    snprintf(path, 700, "%s/models--org--name/snapshots/%s", hub_cache, text);
    return path;
}

static inline ft_status hub_prepare(const site *s)
{
    char id[FT_HASH_TEXT];
    return ft_store_prepare_hub("org/name", NULL, &s->options, NULL, id);
}

// As prepare_in_child, from the hub.
static inline int hub_prepare_in_child(const site *s, int crash_at, int die_at)
{
    return build_in_child(hub_prepare, s, crash_at, die_at);
}

#endif
