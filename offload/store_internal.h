// What the files of the base store share; nobody else includes this.
//
//   store_source.c    the model directory a store is made from; store_source_check.c: whether config.json and tensors agree
//   store_manifest.c  manifest.json and build.json: making and writing; store_manifest_read.c: reading
//   store_records.c   their description of the records
//   store_table.c     the stripe table and stripes.bin
//   store_journal.c   the journal of a build
//   store_dirs.c      the drive directories: paths, locks, space
//   store_parts.c     which part of a set lies in which directory
//   store_convert.c   source rows -> codes
//   store_sink.c      bytes -> stripes on the drives
//   store_fill.c      what one extent is made of
//   store_start.c     where a build starts
//   store_announce.c  what a build says
//   store_build.c     prepare; store_random_build.c: the same from no model, of random weights
//   store_commit.c    from a finished build to a valid store
//   store_open.c, store_read.c, store_list.c
//   store_hub.h       the same from a repository of the hub
#ifndef FT_OFFLOAD_STORE_INTERNAL_H
#define FT_OFFLOAD_STORE_INTERNAL_H

#include <jansson.h>

#include "common/log.h"
#include "io/hub.h"
#include "offload/store.h"

// --- store_source.c ---------------------------------------------------------------------------------------------------------

// One file of the source as the manifest remembers it.
typedef struct {
    char *name;  // without directory
    int64_t bytes, mtime_ns;
    ft_hash128 header_hash;
    char hash[65];  // the hub's, "" = of a directory
} ft_store_file;

// The commit of a repository of the hub; all NULL = none.
typedef struct {
    char *repository, *revision, *commit;
} ft_store_origin;

typedef struct {
    char *directory;  // its name: absolute path, or of the hub ORG/NAME@COMMIT
    char *config;     // config.json verbatim
    ft_shape shape;
    ft_model_files files;
    ft_layout layout;
    const ft_hub_listing *listing;  // of the hub where the files are, NULL = they are in the directory
    const char *revision;           // as asked for, with listing
} ft_store_source;

// Opens the model and checks that every tensor of the shape is there with its shape and a dtype we read.
ft_status ft_store_source_open(ft_store_source *source, const char *directory, ft_base_format format);
// What messages and the manifest call it (NULL: the directory) is `name`.
ft_status ft_store_source_open_as(ft_store_source *source, const char *directory, const char *name, ft_base_format format);
void ft_store_source_close(ft_store_source *source);
ft_status ft_store_source_id(const ft_store_source *source, ft_base_format format, char id[FT_HASH_TEXT]);
// The source tensor of a role; it exists for every role a record of the layout contains.
const ft_tensor_info *ft_store_source_tensor(const ft_store_source *source, ft_role role, int64_t layer);
// The source's file of that name (without directory), NULL if it has none.
const ft_safetensors *ft_store_source_file(const ft_store_source *source, const char *name);
const char *ft_base_format_name(ft_base_format format);  // "fp8", "bf16"

// Blocks spread over a file's data, so that two models of one geometry (a base and its fine-tunes) are told apart without
// reading them whole.
#define FT_STORE_SAMPLES 32
#define FT_STORE_SAMPLE_BYTES 4096
int64_t ft_store_sample_offset(int64_t header_bytes, int64_t file_bytes, int sample);
ft_status ft_store_hash_samples(const ft_safetensors *file, ft_hash128 *sum);  // adds them to *sum

// --- store_source_check.c ---------------------------------------------------------------------------------------------------

// Every tensor of the shape is there with its shape and a dtype we read, E4M3 linears with their scales, and nothing in the
// files says that the weights mean something else. FT_E_INPUT and FT_E_UNSUPPORTED name the tensor.
ft_status ft_store_source_check(const ft_store_source *source);

// --- store_manifest.c -------------------------------------------------------------------------------------------------------

typedef struct {
    double error_sq, norm_sq;  // sum (w' - w)^2, sum w^2
} ft_store_error;

typedef struct {
    char id[FT_HASH_TEXT];
    char set[FT_HASH_TEXT];  // of one build, random
    int ordinal, n_drives;
    ft_base_format format;
    char *source, *config;
    ft_store_origin hub;
    ft_store_file *files;
    int n_files;
    char *directory[FT_MAX_DRIVES];      // where the parts were when they were built, by ordinal
    int64_t drive_bytes[FT_MAX_DRIVES];  // of the data files
    ft_store_error error[FT_GROUP_MATRICES];
    uint64_t table_hash;                 // 0 while the store is being built
    json_t *records;
} ft_manifest;

// The manifest of a build to come; set, ordinal and table_hash are the caller's.
ft_status ft_manifest_init(ft_manifest *manifest, const ft_store_source *source, ft_base_format format, const char *id);
void ft_manifest_free(ft_manifest *manifest);
ft_status ft_manifest_write(const ft_manifest *manifest, const char *path);
// FT_E_NOT_FOUND if there is none, FT_E_CORRUPT if it is not what was written.
ft_status ft_manifest_read(ft_manifest *manifest, const char *path);
// XXH3-64 of the canonical text of an object; false when out of memory.
#define FT_HASH64_TEXT 17
bool ft_manifest_hash(const json_t *object, char text[FT_HASH64_TEXT]);
char *ft_hash64_text(uint64_t hash, char text[FT_HASH64_TEXT]);
// Gives every file the hash that the listing has for it, and the manifest the commit.
ft_status ft_manifest_take_hub(ft_manifest *manifest, const ft_hub_listing *listing, const char *revision);
// The first file that the source no longer has, or has with another size, time, header or hash of the hub; NULL if all agree.
// Times are those of files in directories, hashes those of files of the hub.
const ft_store_file *ft_manifest_difference(const ft_manifest *manifest, const ft_store_source *source);
double ft_manifest_relative_error(const ft_manifest *manifest);
int64_t ft_manifest_bytes(const ft_manifest *manifest);  // of all data files

// --- store_records.c --------------------------------------------------------------------------------------------------------

json_t *ft_records_json(const ft_layout *layout);  // new reference, NULL when out of memory
// The layout of a shape with the forms the manifest names; FT_E_CORRUPT if it differs from the manifest's records.
ft_status ft_manifest_layout(const ft_manifest *manifest, const ft_shape *shape, ft_layout *layout);

// --- store_table.c ----------------------------------------------------------------------------------------------------------

typedef struct {
    ft_stripe *stripe;
    int64_t n;
    int64_t *first;  // [n_records + 1]
    int n_drives;
    int64_t drive_bytes[FT_MAX_DRIVES];
} ft_stripe_table;

// Cuts the layout into stripes and spreads them; hashes are 0. Within an extent stripes go round the drives, starting with the
// one that holds the fewest bytes.
ft_status ft_stripe_table_make(ft_stripe_table *table, const ft_layout *layout, int n_drives);
void ft_stripe_table_free(ft_stripe_table *table);
ft_status ft_stripe_table_write(const ft_stripe_table *table, const char *path, uint64_t *hash);
int64_t ft_extent_stripes(ft_extent extent);
// Replaces drive, offset and hash of a made table by the file's; bytes and order must agree with it.
ft_status ft_stripe_table_read(ft_stripe_table *table, const char *path, uint64_t hash);

// --- store_journal.c --------------------------------------------------------------------------------------------------------

ft_status ft_journal_create(int *fd, const char *path, const char set[FT_HASH_TEXT]);
// Continues a journal: hashes of the stripes it holds, their number, the errors so far. A torn end is cut off.
// FT_E_NOT_FOUND if there is no journal of this set.
ft_status ft_journal_resume(int *fd, const char *path, const char set[FT_HASH_TEXT], ft_stripe_table *table, int64_t *done,
                            ft_store_error error[FT_GROUP_MATRICES]);
// Durable when it returns. The stripes [first, end) must be durable before.
ft_status ft_journal_append(int fd, const char *path, const ft_stripe_table *table, int64_t first, int64_t end,
                            const ft_store_error error[FT_GROUP_MATRICES]);

// --- store_dirs.c -----------------------------------------------------------------------------------------------------------

typedef struct {
    char *path;      // as given
    char *real;      // absolute, without links
    char *root;      // REAL/ft-store
    char *building;  // ROOT/.ID.building
    char *final;     // ROOT/ID
    char *lock_path; // ROOT/.ID.lock
    int lock;        // -1 = not held
    uint64_t device, inode;
} ft_store_directory;

typedef struct {
    char id[FT_HASH_TEXT];
    ft_store_directory item[FT_MAX_DRIVES];
    int n;
    const char *scratch;    // needs scratch_bytes more beside the data files; NULL = none
    int64_t scratch_bytes;
} ft_store_directories;

// Directories in the order of their real paths. FT_E_INPUT names a missing or repeated one.
ft_status ft_store_directories_open(ft_store_directories *directories, const char *const *nvme, int n_nvme, const char *id);
void ft_store_directories_close(ft_store_directories *directories);  // unlocks
// Makes the ft-store folders and locks ID in every directory, in order. FT_E_BUSY names the holder.
ft_status ft_store_directories_lock(ft_store_directories *directories);
// A lock file that goes when it is let go; *lock is -1 while it is not held.
ft_status ft_store_lock(const char *path, int *lock);
void ft_store_unlock(const char *path, int *lock);
// FT_E_IO names the missing bytes if the data files of the table do not fit; what is already allocated in the building
// directories counts as there. Directories on one file system, and the scratch directory, share its space.
ft_status ft_store_directories_space(const ft_store_directories *directories, const ft_stripe_table *table);
// "ft-single store remove ID --nvme A,B", for messages.
#define FT_STORE_COMMAND_TEXT 640
char *ft_store_remove_command(const ft_store_directories *directories, char text[FT_STORE_COMMAND_TEXT]);
// Calls ft_commit_hook (io/commit.h) before a durable step of our own.
ft_status ft_store_step(const char *step);
ft_status ft_store_rename(const char *from, const char *to, const char *parent);  // and fsync of the parent

// --- store_parts.c ----------------------------------------------------------------------------------------------------------

typedef enum { FT_PART_NONE, FT_PART_BUILDING, FT_PART_WRITTEN, FT_PART_FINAL } ft_part_state;

// What the directories hold of one id. BUILDING: build.json; WRITTEN: a build with manifest.json; FINAL: a committed part.
typedef struct {
    ft_part_state state[FT_MAX_DRIVES];
    ft_manifest manifest[FT_MAX_DRIVES];
    int count[FT_PART_FINAL + 1];
} ft_store_parts;

ft_status ft_store_parts_read(ft_store_parts *parts, const ft_store_directories *directories);
void ft_store_parts_free(ft_store_parts *parts);
// Checks that the parts found are one whole set and puts them and the directories into ordinal order. One line names the
// directory that is missing, foreign or repeated.
ft_status ft_store_parts_match(ft_store_parts *parts, ft_store_directories *directories);

// --- store_convert.c --------------------------------------------------------------------------------------------------------

typedef struct {
    int64_t block_elements;
    void *raw;   // rows of the source
    float *f32;  // the same, widened
    void *out;   // converted rows
} ft_converter;

// Buffers for blocks of the source's widest tensor: about 50 MiB for a 405B model.
ft_status ft_converter_init(ft_converter *converter, const ft_store_source *source);
void ft_converter_free(ft_converter *converter);
int64_t ft_converter_rows(const ft_converter *converter, int64_t cols);  // rows of a block, a multiple of 128
// Rows [row0, row0 + n_rows) of a source tensor as `target` wants them; *out points into the converter, valid until the next
// call. `scales` is where the scales of the tensor's row 0 belong if they are made here (E4M3 from another dtype). FT_E_NUMERIC
// names tensor, row and column.
ft_status ft_convert_rows(ft_converter *converter, const ft_store_source *source, const ft_tensor_info *tensor,
                          const ft_record_tensor *target, int64_t row0, int64_t n_rows, float *scales, ft_store_error *error,
                          const void **out);

// --- store_sink.c -----------------------------------------------------------------------------------------------------------

typedef struct ft_store_sink ft_store_sink;

// Writes the table's stripes in order to the drives, a few at a time, and fills in their hashes.
ft_status ft_store_sink_new(ft_store_sink **sink, ft_stripe_table *table, ft_drive *const *drive, const int *file);
void ft_store_sink_free(ft_store_sink *sink);                     // waits for what is in flight
void ft_store_sink_seek(ft_store_sink *sink, int64_t stripe);     // the next one to fill
ft_status ft_store_sink_add(ft_store_sink *sink, const void *data, int64_t bytes);
ft_status ft_store_sink_pad(ft_store_sink *sink, uint32_t record, int64_t record_offset);  // zeros up to there
// The next whole stripe, written by `fill` where it is sent from; nothing of it may be there yet.
typedef void (*ft_stripe_fill)(const void *context, const ft_stripe *stripe, void *data);
ft_status ft_store_sink_fill(ft_store_sink *sink, ft_stripe_fill fill, const void *context);
int64_t ft_store_sink_position(const ft_store_sink *sink);        // bytes of the store before what comes next
ft_status ft_store_sink_wait(ft_store_sink *sink);                // everything submitted is written

// --- store_fill.c -----------------------------------------------------------------------------------------------------------

// Produces extents; owned by the build.
typedef struct {
    const ft_store_source *source;
    const ft_store *random;    // made up by this (store_random.h) instead of read from the source; NULL = no
    ft_store_sink *sink;
    ft_converter converter;
    float *scales, *scales_t;  // of the widest matrix
    ft_store_error error[FT_GROUP_MATRICES];
    struct ft_shards *shards;  // of a source on the hub (store_hub.h), NULL = it is in a directory
    ft_progress *progress;     // of the sink's position, with shards of what is fetched; NULL = quiet
    const volatile int *cancel;
} ft_store_filler;

ft_status ft_store_filler_init(ft_store_filler *filler, const ft_store_source *source, const ft_store *random, ft_store_sink *sink);
void ft_store_filler_free(ft_store_filler *filler);
double ft_store_filler_done(const ft_store_filler *filler);  // bytes, for the progress
// Writes one extent of a record through the sink. FT_E_STOPPED when *cancel is set.
ft_status ft_store_fill_extent(ft_store_filler *filler, int record, ft_group group);

// --- store_start.c, store_build.c -------------------------------------------------------------------------------------------

typedef struct {
    const ft_store_options *options;
    const volatile int *cancel;
    ft_store_source source;
    const ft_store *random;  // what the records are made up by, NULL = they are read
    const char *scratch;     // with source.listing: where the hub's weight files lie while they are needed
    struct ft_shards *shards;
    ft_store_directories directories;
    ft_store_parts parts;
    ft_manifest manifest;
    ft_stripe_table table;
    ft_drive *drive[FT_MAX_DRIVES];
    int file[FT_MAX_DRIVES];
    int journal;       // descriptor, -1 = none
    char *journal_path;
    ft_store_sink *sink;
    ft_store_filler filler;
    int64_t durable;   // stripes the journal holds
    int64_t produced;  // stripes of complete extents
    ft_store_error error[FT_GROUP_MATRICES];  // of complete extents
} ft_store_build;

// For the two kinds of `prepare`. FT_E_NOMEM: NULL.
ft_store_build *ft_store_build_new(const ft_store_options *options, const volatile int *cancel);
void ft_store_build_free(ft_store_build *build);
// Makes the store of `source`, which is filled in, unless it is there; *made: it was not.
ft_status ft_store_build_run(ft_store_build *build, const char id[FT_HASH_TEXT], bool *made);

extern int64_t ft_store_checkpoint_bytes;  // written between two entries of the journal; tests make it small

// Sets up the building directories and their journal: an unfinished build is continued if it can be (then the directories are in
// its order and `durable`, `produced`, `error` say how far it got), else everything starts afresh. FT_E_IO before anything is
// touched if the drives lack space.
ft_status ft_store_start(ft_store_build *build);

// --- store_announce.c -------------------------------------------------------------------------------------------------------

void ft_announce_result(const ft_store_build *build);  // once: what quantizing changed, or that nothing was
// Before anything is written, of a source on the hub: the room it needs; what of it is scratch becomes known to `directories`.
ft_status ft_announce_room(ft_store_build *build);

// --- store_commit.c ---------------------------------------------------------------------------------------------------------

#define FT_STORE_DATA "data"
#define FT_STORE_TABLE "stripes.bin"
#define FT_STORE_MANIFEST "manifest.json"
#define FT_STORE_BUILD "build.json"
#define FT_STORE_JOURNAL "journal"

// BUILDING/name for one part: the manifest with the part's ordinal.
ft_status ft_store_manifest_write(const ft_store_directory *directory, ft_manifest *manifest, const char *name, int ordinal);
// Writes table and manifests into the building directories, which are in ordinal order.
ft_status ft_store_commit_write(const ft_store_directories *directories, const ft_stripe_table *table, ft_manifest *manifest);
// Renames every written part to its final name, first directory last. Parts already renamed stay.
ft_status ft_store_commit_rename(const ft_store_directories *directories);

#endif
