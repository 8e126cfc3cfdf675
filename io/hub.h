// The Hugging Face hub: repositories listed, read in part and downloaded into the cache that other tools share (hub_cache.h says
// where it lies and what a snapshot is).
//
// Environment: HF_ENDPOINT (default https://huggingface.co), HF_TOKEN, else the file HF_TOKEN_PATH, else $HF_HOME/token (the
// cache's own); HF_HUB_OFFLINE=1 forbids every request. The token goes to the endpoint's host alone, never to the host of a
// redirect, and stands in no message, no log and no file.
// Whoever calls owns the structs. One call at a time per listing; `cancel` may be NULL, and ends a call with FT_E_STOPPED with
// what has arrived kept for the next. Errors are one line that names the repository and says what to do: FT_E_INPUT for 401, 403,
// a gated repository and 404, FT_E_IO for the network after its retries and for a drive without room, FT_E_CORRUPT for bytes whose
// hash is not the hub's.
#ifndef FT_IO_HUB_H
#define FT_IO_HUB_H

#include <stdbool.h>

#include "io/hub_cache.h"
#include "io/hub_environment.h"

typedef struct {
    char *path;         // within the repository, "model-00001-of-00191.safetensors"
    int64_t bytes;
    char hash[65];      // of a large file: SHA-256 of its bytes; else SHA-1 of "blob BYTES\0" and its bytes (git's id)
    bool large;         // kept by the hub as a large file (LFS, Xet)
} ft_hub_file;

typedef struct {
    ft_hub_kind kind;
    char *repository;   // "ORG/NAME"
    char *revision;     // as asked for, "main" without
    char *commit;       // what it stands for, 40 hex digits
    ft_hub_file *files; // sorted by path
    int n_files;
    struct ft_hub_client *client;  // private: connections and signed addresses, kept from call to call; nothing is shared between listings
} ft_hub_listing;

// The files of ID ("ORG/NAME" or "ORG/NAME@REVISION"; `revision`: of an id without @, NULL = main).
ft_status ft_hub_list(ft_hub_listing *listing, ft_hub_kind kind, const char *id, const char *revision, const volatile int *cancel);
void ft_hub_listing_free(ft_hub_listing *listing);  // also of a zeroed one
const ft_hub_file *ft_hub_listing_find(const ft_hub_listing *listing, const char *path);  // NULL if absent

// A flag that ends every call of the process as its own `cancel` does (a signal's); NULL = none.
void ft_hub_set_cancel(const volatile int *cancel);

typedef struct {
    // Globs of paths, [n_include]; * and ? match / too. None = of a model what training reads (docs/hub.md), of a data set all.
    const char *const *include;
    int n_include;
    bool all;                    // every file of the repository
    int connections;             // 0 = 8
    bool quiet;                  // no progress
} ft_hub_options;

// Downloads what of the listing is missing into the cache and links the snapshot; *snapshot: its directory, heap. What an earlier,
// killed download has left is continued. Every file is checked against its hash before it has its name.
ft_status ft_hub_download(const ft_hub_listing *listing, const ft_hub_options *options, const volatile int *cancel, char **snapshot);
// One file to `path`, checked; with `path`.part beside it while it is not whole, which a later call continues.
ft_status ft_hub_fetch_file(const ft_hub_listing *listing, const ft_hub_file *file, const char *path, const ft_hub_options *options,
                            const volatile int *cancel);
// Bytes [offset, offset + bytes) of a file, which must lie within it, into dst. Not checked: the hub has no hashes of parts.
ft_status ft_hub_read(const ft_hub_listing *listing, const ft_hub_file *file, int64_t offset, void *dst, int64_t bytes,
                      const volatile int *cancel);

// As ft_hub_locate (hub_cache.h), but what is not in the cache or not whole there is downloaded, with progress, unless
// HF_HUB_OFFLINE forbids it.
ft_status ft_hub_obtain(ft_hub_kind kind, const char *path_or_id, const char *revision, const volatile int *cancel, char **directory);
// ft_hub_list and ft_hub_download in one.
ft_status ft_hub_obtain_files(ft_hub_kind kind, const char *id, const char *revision, const ft_hub_options *options, const volatile int *cancel,
                              char **directory);
// A directory with model.safetensors, or an index and every shard that it names.
bool ft_hub_has_weights(const char *directory);
// Whether `options` (NULL = what is taken by default) ask for a file of the listing.
bool ft_hub_chosen(const ft_hub_listing *listing, const ft_hub_options *options, const char *path);

#endif
