// The manifest of a checkpoint: which files it has, and where every parameter lies in them. Format: checkpoint_manifest_write.c.
//
// An entry places one slice of one parameter: rows [begin, end) per dimension of its global shape, row-major and contiguous in a
// file. The entries of a parameter, from however many writers, tile it.
#ifndef FT_TRAIN_CHECKPOINT_MANIFEST_H
#define FT_TRAIN_CHECKPOINT_MANIFEST_H

#include "common/dtype.h"
#include "io/hash.h"
#include "io/safetensors.h"

#define FT_MANIFEST_NAME "manifest.json"
#define FT_MANIFEST_VERSION 1
#define FT_MANIFEST_HASH_BEFORE "{\"manifest_xxh3\": \""  // the file's first bytes; its own hash and a quote follow

typedef struct {
    char *name;          // a file of the directory itself
    int64_t bytes;
    ft_hash128 hash;     // of the whole file
} ft_checkpoint_manifest_file;

typedef struct {
    char *parameter;
    ft_dtype dtype;
    int rank;
    int64_t shape[FT_TENSOR_MAX_RANK];                            // global
    int64_t begin[FT_TENSOR_MAX_RANK], end[FT_TENSOR_MAX_RANK];   // the slice
    int file;            // index into files
    int64_t offset, length;                                       // bytes in the file
    ft_hash128 hash;     // of those bytes
} ft_checkpoint_manifest_entry;

typedef struct {
    int64_t step;
    char *base_id;
    ft_checkpoint_manifest_file *files;
    ft_checkpoint_manifest_entry *entries;
    int64_t n_files, n_entries, file_capacity, entry_capacity;
} ft_checkpoint_manifest;

// {0} is an empty manifest. Strings are copied; free also after a failure.
ft_status ft_checkpoint_manifest_add_file(ft_checkpoint_manifest *manifest, const char *name, int64_t bytes, ft_hash128 hash);
ft_status ft_checkpoint_manifest_add_entry(ft_checkpoint_manifest *manifest, const ft_checkpoint_manifest_entry *entry);
void ft_checkpoint_manifest_free(ft_checkpoint_manifest *manifest);
const ft_checkpoint_manifest_file *ft_checkpoint_manifest_find_file(const ft_checkpoint_manifest *manifest,
                                                                    const char *name);  // NULL if absent

// Writes DIRECTORY/NAME, fsyncs it and lists it.
ft_status ft_checkpoint_manifest_put_file(ft_checkpoint_manifest *manifest, const char *directory, const char *name, const void *data,
                                          size_t bytes);
// Writes DIRECTORY/manifest.json and fsyncs it.
ft_status ft_checkpoint_manifest_write(const ft_checkpoint_manifest *manifest, const char *directory);
// Reads and checks DIRECTORY/manifest.json: its own hash, version, every field, every entry inside its file. FT_E_NOT_FOUND if
// there is none, FT_E_CORRUPT if it is not what was written. On failure nothing is left to free.
ft_status ft_checkpoint_manifest_read(ft_checkpoint_manifest *manifest, const char *directory);
// Reads every file of the manifest and compares sizes and hashes, of files and entries.
ft_status ft_checkpoint_manifest_check(const ft_checkpoint_manifest *manifest, const char *directory);
// The bytes of an entry, checked, into dst [entry->length].
ft_status ft_checkpoint_manifest_read_entry(const ft_checkpoint_manifest *manifest, const ft_checkpoint_manifest_entry *entry,
                                            const char *directory, void *dst);
// The content of a small listed file, checked; *data is heap, NUL-terminated.
ft_status ft_checkpoint_manifest_read_file(const ft_checkpoint_manifest *manifest, const char *directory, const char *name, char **data,
                                           size_t *bytes);

#endif
