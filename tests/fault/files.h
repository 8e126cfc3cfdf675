// Looking at what runs leave on disk: equal files, leftovers, damage.
#ifndef FT_TESTS_FAULT_FILES_H
#define FT_TESTS_FAULT_FILES_H

#include <dirent.h>
#include <sys/stat.h>

#include "common/file.h"
#include "fault/program.h"

#define PATH_BYTES 512

// printf into one of a few static buffers: the path of a call's argument.
static inline const char *at(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *at(const char *format, ...)
{
    static char paths[8][PATH_BYTES];
    static int next;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(paths[next = (next + 1) % 8], PATH_BYTES, format, args);
    va_end(args);
    assert_in_range(length, 1, PATH_BYTES - 1);
    return paths[next];
}

static inline void done(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

// noinline: GCC 12 takes a pointer into the heap block for one to the variable that held it.
__attribute__((noinline, unused)) static char *file_text(const char *path, size_t *bytes)
{
    char *data;
    done(ft_file_read(path, (size_t)1 << 34, &data, bytes));
    return data;
}

static inline void files_equal(const char *one, const char *other)
{
    size_t bytes[2];
    char *data[2] = {file_text(one, &bytes[0]), file_text(other, &bytes[1])};
    if (bytes[0] != bytes[1]) fail_msg("%s has %zu bytes, %s has %zu", one, bytes[0], other, bytes[1]);
    for (size_t i = 0; i < bytes[0]; i++)
        if (data[0][i] != data[1][i]) fail_msg("%s and %s differ from byte %zu of %zu on", one, other, i, bytes[0]);
    free(data[0]);
    free(data[1]);
}

// A name that must not be there once everything has ended well: temporaries, old states, unfinished builds.
static inline bool is_leftover(const char *name)
{
    return strstr(name, ".tmp-") || strstr(name, ".old-") || strstr(name, ".building") || strstr(name, "journal");
}

static inline void no_leftovers(const char *directory)
{
    DIR *stream = opendir(directory);
    if (stream == NULL) fail_msg("%s: %s", directory, strerror(errno));
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (is_leftover(entry->d_name)) fail_msg("%s/%s is left over", directory, entry->d_name);
        if (entry->d_type == DT_DIR) {
            char child[PATH_BYTES];
            snprintf(child, sizeof child, "%s/%s", directory, entry->d_name);
            no_leftovers(child);
        }
    }
    closedir(stream);
}

// The first entry of DIRECTORY whose name begins with `prefix`.
static inline const char *find_entry(const char *directory, const char *prefix)
{
    DIR *stream = opendir(directory);
    const char *path = NULL;
    if (stream == NULL) fail_msg("%s: %s", directory, strerror(errno));
    for (struct dirent *entry; path == NULL && (entry = readdir(stream));)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && entry->d_name[0] != '.') path = at("%s/%s", directory, entry->d_name);
    closedir(stream);
    if (path == NULL) fail_msg("%s has no %s...", directory, prefix);
    return path;
}

static inline void write_text(const char *path, const char *text)
{
    done(ft_file_write(path, text, strlen(text)));
}

// Replaces the one place where `before` stands in a file.
static inline void replace_text(const char *path, const char *before, const char *after)
{
    size_t bytes;
    char *text = file_text(path, &bytes);
    const char *place = strstr(text, before);
    if (place == NULL) fail_msg("%s has no %s", path, before);
    char *changed = malloc(bytes + strlen(after) + 1);
    sprintf(changed, "%.*s%s%s", (int)(place - text), text, after, place + strlen(before));
    write_text(path, changed);
    free(changed);
    free(text);
}

static inline void copy_file(const char *from, const char *to)
{
    size_t bytes;
    char *data = file_text(from, &bytes);
    done(ft_file_write(to, data, bytes));
    free(data);
}

static inline void copy_directory(const char *from, const char *to)
{
    struct dirent *entry;
    done(ft_make_directories(to));
    DIR *stream = opendir(from);
    assert_non_null(stream);
    while ((entry = readdir(stream))) {
        char source[PATH_BYTES], target[PATH_BYTES];
        if (entry->d_name[0] == '.') continue;
        snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        if (entry->d_type == DT_DIR) copy_directory(source, target);
        else copy_file(source, target);
    }
    closedir(stream);
}

// Flips one bit of a byte in place, as a failing drive would: size and times of the file stay.
static inline void flip_byte(const char *path, int64_t offset)
{
    struct stat before;
    char byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &before) == 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    assert_int_equal(futimens(fd, (struct timespec[2]){before.st_atim, before.st_mtim}), 0);
    close(fd);
}

static inline int64_t file_bytes(const char *path)
{
    int64_t bytes;
    done(ft_path_size(path, &bytes));
    return bytes;
}

#endif
