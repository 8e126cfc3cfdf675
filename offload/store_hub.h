// Making a store while the model's weights stream from the hub. Nobody outside the base store includes this.
//
// A fixed transformer is read in an order known before the first byte: record by record, extent by extent. So it is known which
// weight file each extent needs, which need is a file's first and which its last, and what lies on disk at once. A file is fetched
// one need ahead and removed when the extents made of it are durable; no file is fetched twice, also not by the next run after a
// kill.
//
//   SCRATCH/model/             the model in outline: config.json, the index, and each weight file as a sparse file of its size that
//                              holds its header and the sampled blocks. What reads a model directory (the check of the tensors,
//                              the layout, the id) reads this one, and finds what it would find in the whole.
//   SCRATCH/shards/NAME        weight files while they are needed; their hash was that of the hub. NAME.part: on their way
//   SCRATCH.lock               one build at a time
// SCRATCH is .hub-COMMIT-FORMAT in the first drive's ft-store, or in the directory given; it goes when the store is whole.
//
//   store_hub.c       prepare from the hub, from the commit to the opened store; store_hub_scratch.c: SCRATCH
//   store_outline.c   the model in outline
//   store_access.c    which extents need which files
//   store_shards.c    weight files come and go; store_fetch.c: the thread that fetches them
//   store_snapshot.c  stores and builds of a commit found again; store_adopt.c: a store of a directory learns its commit
#ifndef FT_OFFLOAD_STORE_HUB_H
#define FT_OFFLOAD_STORE_HUB_H

#include "offload/store_internal.h"

// The hub's calls (io/hub.h), which tests replace by ones that read a directory, count, and fail.
typedef struct {
    ft_status (*list)(ft_hub_listing *listing, ft_hub_kind kind, const char *id, const char *revision, const volatile int *cancel);
    ft_status (*download)(const ft_hub_listing *listing, const ft_hub_options *options, const volatile int *cancel, char **snapshot);
    ft_status (*fetch)(const ft_hub_listing *listing, const ft_hub_file *file, const char *path, const ft_hub_options *options,
                       const volatile int *cancel);
    ft_status (*read)(const ft_hub_listing *listing, const ft_hub_file *file, int64_t offset, void *dst, int64_t bytes,
                      const volatile int *cancel);
} ft_store_hub_calls;
extern ft_store_hub_calls ft_store_hub;

// --- store_hub_scratch.c ----------------------------------------------------------------------------------------------------

typedef struct {
    char *path, *model, *shards;  // SCRATCH, SCRATCH/model, SCRATCH/shards
    char *lock_path;
    int lock;
} ft_store_scratch;

// Names, makes and locks it; `parent` NULL = the ft-store of the first drive (by path). FT_E_BUSY names the holder of the lock.
ft_status ft_store_scratch_open(ft_store_scratch *scratch, const char *parent, const ft_store_options *options, const char *commit);
void ft_store_scratch_close(ft_store_scratch *scratch, bool remove);  // what it holds stays for the next run unless `remove`
// Removes that of a build which nobody continues, if it is below `parent`. FT_E_BUSY if somebody does.
ft_status ft_store_scratch_remove(const char *parent, const char *commit, ft_base_format format);

// --- store_outline.c --------------------------------------------------------------------------------------------------------

// Fills `directory` (which exists) with the outline of the listing's model; what an earlier call finished is taken as it is.
// `snapshot` holds its small files.
ft_status ft_store_outline(const ft_hub_listing *listing, const char *snapshot, const char *directory, bool quiet, const volatile int *cancel);

// --- store_access.c ---------------------------------------------------------------------------------------------------------

// Extents are numbered in the order in which they are made.
static inline int ft_extent_number(int record, ft_group group) { return record * FT_GROUP_COUNT + (int)group; }

// Which extents from `begin` on are made of which files of the source.
typedef struct {
    int begin, end;     // extents
    int n_files;
    int *first, *last;  // [n_files] the first and the last extent made of it; end and -1 if there is none
    int *order;         // the files that are needed, by first need
    int n_needed;
} ft_store_access;

ft_status ft_store_access_make(ft_store_access *access, const ft_store_source *source, int begin);
void ft_store_access_free(ft_store_access *access);
// The most bytes of files that lie on disk at once: those between their first and last need, and the one needed next.
int64_t ft_store_access_peak(const ft_store_access *access, const ft_store_source *source);

// --- store_shards.c ---------------------------------------------------------------------------------------------------------

typedef struct ft_shards ft_shards;

// Starts fetching for the extents from `begin` on. `directory`: SCRATCH/shards; what it holds is used or removed. The source's files
// are the outline's until they are needed.
ft_status ft_shards_open(ft_shards **shards, ft_store_source *source, const char *directory, int begin, const volatile int *cancel);
void ft_shards_close(ft_shards *shards);  // stops fetching; NULL too
// Waits until the files that the extent is made of can be read, showing the progress meanwhile (NULL = none). FT_E_STOPPED when
// *cancel is set; the error of fetching; FT_E_CORRUPT for a file that is not the one in outline.
ft_status ft_shards_need(ft_shards *shards, int extent, ft_progress *progress);
bool ft_shards_end_with(const ft_shards *shards, int extent);     // whether a file is not needed after this extent
void ft_shards_release(ft_shards *shards, int extent);            // removes those files
int64_t ft_shards_fetched(ft_shards *shards);                     // bytes of all files the store is made of, so far
int64_t ft_shards_bytes(const ft_store_source *source);           // and in all

// --- store_snapshot.c, store_adopt.c ----------------------------------------------------------------------------------------

// An unfinished build of the repository at this revision and format, but of another commit: its id and its commit, heap; NULL = none.
ft_status ft_store_find_unfinished(const ft_hub_listing *listing, const ft_store_options *options, char id[FT_HASH_TEXT], char **commit);
// Whether `directory` is the snapshot of the commit.
bool ft_store_is_snapshot(const char *directory, const char *repository, const char *commit);
// Writes the commit into the manifests of a complete store of the same files that does not name it.
ft_status ft_store_adopt(ft_store_build *build);

#endif
