#include "support/hub_server_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

#define LARGE (64 << 10)

// Files are hashed once and again only when they change.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known {
    char *path;
    served_file file;
} *known;
static int n_known;

static bool is_large(const char *path, int64_t bytes)
{
    return bytes >= LARGE || ft_name_ends_with(path, ".safetensors") || ft_name_ends_with(path, ".parquet") || ft_name_ends_with(path, ".bin");
}

static void hash_file(int fd, ft_sha_kind kind, const char *prefix, size_t prefix_bytes, char text[FT_SHA_TEXT])
{
    static const size_t piece = 1 << 20;
    char *buffer = malloc(piece);
    ft_sha sha;
    ft_sha_begin(&sha, kind);
    ft_sha_add(&sha, prefix, prefix_bytes);
    int64_t at = 0;
    for (ssize_t n; (n = pread(fd, buffer, piece, at)) > 0; at += n) ft_sha_add(&sha, buffer, (size_t)n);
    ft_sha_finish(&sha, text);
    free(buffer);
}

// git's id of a blob: SHA-1 of "blob BYTES\0" and its bytes; of a large file, of its pointer.
static void git_id_of_text(const char *text, size_t bytes, char id[FT_SHA_TEXT])
{
    char head[40];
    ft_sha sha;
    ft_sha_begin(&sha, FT_SHA1);
    ft_sha_add(&sha, head, (size_t)snprintf(head, sizeof head, "blob %zu", bytes) + 1);
    ft_sha_add(&sha, text, bytes);
    ft_sha_finish(&sha, id);
}

static void hash_served(const char *path, served_file *file)
{
    char head[200];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (file->large) {
        hash_file(fd, FT_SHA256, "", 0, file->sha256);
        int n = snprintf(head, sizeof head, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %lld\n", file->sha256, (long long)file->bytes);
        git_id_of_text(head, (size_t)n, file->git);
    } else {
        int n = snprintf(head, sizeof head, "blob %lld", (long long)file->bytes);
        hash_file(fd, FT_SHA1, head, (size_t)n + 1, file->git);
    }
    close(fd);
}

static struct known *remembered(const char *path)
{
    for (int i = 0; i < n_known; i++)
        if (strcmp(known[i].path, path) == 0) return &known[i];
    known = realloc(known, (size_t)(n_known + 1) * sizeof *known);
    known[n_known] = (struct known){.path = strdup(path)};
    return &known[n_known++];
}

static void describe(const char *path, const struct stat *information, served_file *file)
{
    pthread_mutex_lock(&lock);
    struct known *old = remembered(path);
    int64_t mtime_ns = information->st_mtim.tv_sec * 1000000000 + information->st_mtim.tv_nsec;
    if (old->file.mtime_ns != mtime_ns || old->file.bytes != information->st_size || old->file.git[0] == 0) {
        old->file = (served_file){.bytes = information->st_size, .mtime_ns = mtime_ns, .large = is_large(path, information->st_size)};
        hash_served(path, &old->file);
    }
    char *name = file->path;
    *file = old->file;
    file->path = name;
    pthread_mutex_unlock(&lock);
}

static void walk(served_repository *repository, const char *below)
{
    char *directory = below[0] ? ft_path_join(repository->directory, below) : ft_strdup(repository->directory);
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        struct stat information;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char *path = ft_path_join(directory, entry->d_name), *name = below[0] ? ft_path_join(below, entry->d_name) : ft_strdup(entry->d_name);
        if (stat(path, &information) == 0 && S_ISDIR(information.st_mode)) {
            walk(repository, name);
        } else if (stat(path, &information) == 0) {
            repository->files = ft_realloc(repository->files, (size_t)(repository->n + 1) * sizeof *repository->files);
            repository->files[repository->n] = (served_file){.path = ft_strdup(name)};
            describe(path, &information, &repository->files[repository->n++]);
        }
        ft_free(path);
        ft_free(name);
    }
    if (stream) closedir(stream);
    ft_free(directory);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const served_file *)a)->path, ((const served_file *)b)->path);
}

static void read_directory(served_repository *repository, const char *directory)
{
    ft_sha sha;
    *repository = (served_repository){.directory = ft_strdup(directory)};
    walk(repository, "");
    if (repository->n) qsort(repository->files, (size_t)repository->n, sizeof *repository->files, by_path);
    ft_sha_begin(&sha, FT_SHA1);
    for (int i = 0; i < repository->n; i++) {
        ft_sha_add(&sha, repository->files[i].path, strlen(repository->files[i].path) + 1);
        ft_sha_add(&sha, repository->files[i].git, 40);
    }
    ft_sha_finish(&sha, repository->commit);
}

// Every revision lies beside the first: NAME, NAME@v1, ...
static bool read_by_commit(served_repository *repository, const char *parent, const char *name, const char *commit)
{
    DIR *stream = opendir(parent);
    bool found = false;
    for (struct dirent *entry; !found && stream && (entry = readdir(stream));) {
        size_t n = strlen(name);
        if (strncmp(entry->d_name, name, n) != 0 || (entry->d_name[n] && entry->d_name[n] != '@')) continue;
        char *directory = ft_path_join(parent, entry->d_name);
        read_directory(repository, directory);
        ft_free(directory);
        found = strcmp(repository->commit, commit) == 0;
        if (!found) served_repository_free(repository);
    }
    if (stream) closedir(stream);
    return found;
}

bool served_repository_read(served_repository *repository, const char *root, const char *kind, const char *name, const char *revision, bool *found)
{
    bool main = strcmp(revision, "main") == 0, done = false;
    char *first = ft_format("%s/%s/%s", root, kind, name), *directory = main ? ft_strdup(first) : ft_format("%s@%s", first, revision);
    *found = ft_path_is_directory(first);
    if (*found && ft_path_is_directory(directory)) {
        read_directory(repository, directory);
        done = true;
    } else if (*found) {
        char *slash = strrchr(first, '/');
        *slash = 0;
        done = read_by_commit(repository, first, slash + 1, revision);
    }
    ft_free(first);
    ft_free(directory);
    return done;
}

void served_repository_free(served_repository *repository)
{
    for (int i = 0; i < repository->n; i++) ft_free(repository->files[i].path);
    ft_free(repository->files);
    ft_free(repository->directory);
    *repository = (served_repository){0};
}

const served_file *served_repository_find(const served_repository *repository, const char *path)
{
    for (int i = 0; i < repository->n; i++)
        if (strcmp(repository->files[i].path, path) == 0) return &repository->files[i];
    return NULL;
}
