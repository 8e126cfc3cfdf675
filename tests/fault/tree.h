// The fingerprint of a directory: names and contents of everything in it, lock files aside. Equal before and after a failed
// command means that the command wrote nothing there.
#ifndef FT_TESTS_FAULT_TREE_H
#define FT_TESTS_FAULT_TREE_H

#include "fault/files.h"
#include "io/hash.h"

static inline bool tree_skips(const char *name)
{
    size_t n = strlen(name);
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (n >= 5 && strcmp(name + n - 5, ".lock") == 0);
}

static inline uint64_t tree_file(const char *path)
{
    size_t bytes;
    char *data = file_text(path, &bytes);
    uint64_t hash = ft_hash128_of(data, bytes).low;
    free(data);
    return hash;
}

// The order of entries does not matter: their hashes are added.
static inline uint64_t tree_hash(const char *directory)
{
    DIR *stream = opendir(directory);
    uint64_t sum = 1;
    if (stream == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        char path[PATH_BYTES];
        if (tree_skips(entry->d_name)) continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        uint64_t parts[2] = {ft_hash128_of(entry->d_name, strlen(entry->d_name)).low, entry->d_type == DT_DIR ? tree_hash(path) : tree_file(path)};
        sum += ft_hash128_of(parts, sizeof parts).low;
    }
    closedir(stream);
    return sum;
}

#endif
