// The hub's calls replaced by ones that read a model directory: counted, across processes too, and with faults at chosen places.
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
    char commit[41];            // what the revision stands for
} local_hub;

static local_hub *hub;
static const char *hub_model, *hub_cache;  // the directory behind it; the cache

static inline char *hub_hash(const char *path, char hash[65])
{
    size_t bytes;
    char *data = site_read_file(path, &bytes);
    ft_hash128_text(ft_hash128_of(data, bytes), hash);
    ft_free(data);
    return hash;
}

static inline void hub_add(ft_hub_listing *listing, const char *name)
{
    char path[700];
    ft_hub_file *file = &listing->files[listing->n_files++];
    snprintf(path, sizeof path, "%s/%s", hub_model, name);
    *file = (ft_hub_file){.path = ft_strdup(name), .large = true};
    assert_ok(ft_path_size(path, &file->bytes));
    hub_hash(path, file->hash);
}

static inline int hub_by_path(const void *a, const void *b)
{
    return strcmp(((const ft_hub_file *)a)->path, ((const ft_hub_file *)b)->path);
}

static inline ft_status hub_list(ft_hub_listing *listing, ft_hub_kind kind, const char *id, const char *revision, const volatile int *cancel)
{
    size_t repository = strcspn(id, "@");
    bool is_commit = revision != NULL && strlen(revision) == 40;
    DIR *stream = opendir(hub_model);
    assert_non_null(stream);
    atomic_fetch_add(&hub->lists, 1);
    *listing = (ft_hub_listing){.kind = kind, .repository = ft_strndup(id, repository), .files = FT_NEW_ARRAY(ft_hub_file, HUB_FILES)};
    listing->revision = ft_strdup(id[repository] ? id + repository + 1 : revision != NULL ? revision : "main");
    listing->commit = ft_strdup(is_commit ? revision : hub->commit);
    for (struct dirent *item; (item = readdir(stream)) != NULL;)
        if (item->d_name[0] != '.') hub_add(listing, item->d_name);
    closedir(stream);
    qsort(listing->files, (size_t)listing->n_files, sizeof *listing->files, hub_by_path);
    return FT_OK;
}

static inline ft_status hub_copy(const char *from, const char *to)
{
    size_t bytes;
    char *data = site_read_file(from, &bytes);
    ft_status status = ft_file_write(to, data, bytes);
    ft_free(data);
    return status;
}

// The small files alone, as the globs ask for.
static inline ft_status hub_download(const ft_hub_listing *listing, const ft_hub_options *options, const volatile int *cancel, char **snapshot)
{
    *snapshot = ft_format("%s/models--org--name/snapshots/%s", hub_cache, listing->commit);
    assert_ok(ft_make_directories(*snapshot));
    assert_true(options->n_include > 0 && !options->all);
    for (int i = 0; i < listing->n_files; i++) {
        char from[700], to[700];
        if (!ft_name_ends_with(listing->files[i].path, ".json")) continue;
        snprintf(from, sizeof from, "%s/%s", hub_model, listing->files[i].path);
        snprintf(to, sizeof to, "%s/%s", *snapshot, listing->files[i].path);
        assert_ok(hub_copy(from, to));
    }
    return FT_OK;
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
    char from[700], part[700];
    size_t bytes;
    snprintf(from, sizeof from, "%s/%s", hub_model, file->path);
    snprintf(part, sizeof part, "%s.part", path);
    char *data = site_read_file(from, &bytes);
    int n = atomic_fetch_add(&hub->fetches, 1) + 1;
    if (*cancel) {
        ft_free(data);
        return ft_error(FT_E_STOPPED, "stopped");
    }
    if (n == atomic_load(&hub->die_at)) {
        assert_ok(ft_file_write(part, data, bytes / 2));
        raise(SIGKILL);
    }
    if (atomic_load(&hub->wrong) > 0) {
        atomic_fetch_sub(&hub->wrong, 1);
        ft_free(data);
        return ft_error(FT_E_CORRUPT, "%s: %s: its hash is not the hub's", listing->repository, file->path);
    }
    if (atomic_load(&hub->swapped) > 0) {
        atomic_fetch_sub(&hub->swapped, 1);
        data[bytes - 1] ^= 1;  // in the last sample
    }
    assert_ok(ft_file_write(part, data, bytes));
    ft_free(data);
    assert_int_equal(rename(part, path), 0);
    hub_measure(path);
    hub_count_whole(file->path);
    return FT_OK;
}

static inline ft_status hub_read(const ft_hub_listing *listing, const ft_hub_file *file, int64_t offset, void *dst, int64_t bytes,
                                 const volatile int *cancel)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", hub_model, file->path);
    assert_true(offset >= 0 && bytes > 0 && offset + bytes <= file->bytes);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && pread(fd, dst, (size_t)bytes, offset) == bytes);
    close(fd);
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
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", crash_at);
        if (crash_at > 0) setenv("FT_CRASH_AT", number, 1);
        journal_steps_left = die_at;
        if (die_at > 0) ft_commit_hook = die_at_journal;
        ft_status status = hub_prepare(s);
        if (status != FT_OK) print_error("prepare: %s\n", ft_error_message());
        _exit(-status);
    }
    return wait_child(child);
}

#endif
