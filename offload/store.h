// The base store: a model's frozen weights, converted once, striped over drives, read-only ever after.
//
//   DRIVE/ft-store/ID/manifest.json   the same in every drive directory but for "ordinal"
//   DRIVE/ft-store/ID/stripes.bin     the stripe table (binary sidecar of the manifest)
//   DRIVE/ft-store/ID/data            this drive's stripes, one after the other, each at a multiple of 4 KiB
//
// ID: XXH3-128 (hex) of the source's tensor names, dtypes, shapes, header hashes and 32 blocks of 4 KiB spread over each file's
// data, the base format and the layout version.
// stripes.bin, little endian, the same in every directory:
//   bytes 0..7    "FTSTRIPE"     8..11 u32 version (1)   12..15 u32 number of drives
//   16..23 u64 number of stripes n    24..31 u64 XXH3-64 of the n entries    32..63 zero
//   then n entries of 32 bytes: u32 record, u32 drive, u64 offset in the drive's data file, u64 XXH3-64 of the stripe's bytes,
//   u32 bytes, u32 index within the record. Stripe s of a record covers bytes [s * 4 MiB, ...) of each extent in turn: stripes
//   never cross an extent. The stripes of an extent go round the drives, starting with the drive that holds the fewest bytes.
// manifest.json: layout version, id, set id (random, the same in all directories of one build), ordinal, base format, source
// directory and its config.json verbatim, source files {name, bytes, mtime_ns, header hash}, drives {directory, bytes}, of a
// store made from the hub {repository, revision, commit} and for each source file the hub's hash (its mtime is 0),
// quantization error per group, hash of stripes.bin, per record the extents and tensors with offsets, and XXH3-64 of the
// manifest's own canonical text without the "hash" member.
// A build happens in DRIVE/ft-store/.ID.building/: build.json (the manifest before errors and hashes are known) in each, and in
// the first part's a journal of durable stripes (store_journal.c), so that a killed `prepare` continues where its last fsync
// was. One writer: DRIVE/ft-store/.ID.lock in every directory. It is committed by writing table and manifest into every
// directory, then renaming the directories, first part last (store_commit.c); a store is valid iff every directory is there and
// manifest and table verify.
#ifndef FT_OFFLOAD_STORE_H
#define FT_OFFLOAD_STORE_H

#include "io/drive.h"
#include "io/safetensors.h"
#include "offload/record.h"

#define FT_STORE_LAYOUT_VERSION 1
#define FT_MAX_DRIVES 32
enum { FT_STRIPE_VERIFIED = 1, FT_STRIPE_AGAIN = 2 };

typedef struct {
    uint32_t record, index;   // stripe number within the record
    uint32_t drive;
    uint32_t bytes;
    int64_t offset;           // in the drive's data file
    int64_t record_offset;    // first byte within the record
    uint64_t hash;
} ft_stripe;

typedef struct ft_store {
    ft_layout layout;
    char *id;                 // 32 hex digits
    char *source;             // model directory it was made from, or ORG/NAME@COMMIT
    int n_drives;
    ft_drive *drive[FT_MAX_DRIVES];
    int file[FT_MAX_DRIVES];  // index of the data file on each drive
    int64_t file_bytes[FT_MAX_DRIVES];
    ft_stripe *stripe;        // sorted by (record, index)
    int64_t n_stripes;
    int64_t *first_stripe;    // [n_records + 1]
    double relative_error;    // sqrt(sum (w' - w)^2 / sum w^2) over the linears, 0 where no value changed
    uint8_t *verified;        // per stripe (relaxed atomics): 0, FT_STRIPE_VERIFIED after its hash was seen to hold in this process,
                              // FT_STRIPE_AGAIN where the next read is to see it once more
} ft_store;

typedef struct {
    const char *const *nvme;  // drive directories, in any order
    int n_nvme;
    ft_base_format format;    // of what prepare makes; an existing store has its own
    ft_drive_options io;
    bool quiet;               // no progress
} ft_store_options;

// The id a model directory would have in this format.
ft_status ft_store_id(const char *model_directory, ft_base_format format, char id[FT_HASH_TEXT]);
// Builds the store of a model directory unless it is there already (then checks it against the source and returns). Bounded
// memory (about 50 MiB, and 4 MiB for each of up to 8 stripes in flight), with progress; an interrupted build continues.
// Announces quantization once with the measured error; the codes and scales of an FP8 checkpoint are kept as they are
// (arch/quantization.h). Every source tensor is checked first: FT_E_INPUT names a missing or misshapen one, FT_E_UNSUPPORTED one
// of another quantization, FT_E_NUMERIC tensor, row and column of a NaN or Inf, and a scale that is not above 0. FT_E_BUSY if another
// process is preparing the same store. FT_E_IO with the missing bytes before it starts if the drives lack space. Stops cleanly
// when *cancel becomes non-zero (FT_E_STOPPED; cancel may be NULL). The drive directories themselves must exist.
ft_status ft_store_prepare(const char *model_directory, const ft_store_options *options, const volatile int *cancel);
// The same from a repository of the hub, "ORG/NAME" or "ORG/NAME@REVISION", whose weight files are fetched one after the other,
// converted and dropped (store_hub.h). config.json, tokenizer and index go into the hub's cache as the snapshot of the commit.
// Weight files lie in `scratch` meanwhile (NULL: below the first drive's ft-store), which is said before and must have room as the
// drives must; each is checked against the hub's hash. The id, also in `id`, is that of the same files in a directory. What a killed
// build has made durable is not fetched again; one whose revision has moved since goes on at its commit and says so.
ft_status ft_store_prepare_hub(const char *repository, const char *scratch, const ft_store_options *options, const volatile int *cancel,
                               char id[FT_HASH_TEXT]);
// The complete store in options->nvme, of options->format, that was made from the commit whose snapshot in the hub's cache
// `directory` is: it needs no weight file. FT_E_NOT_FOUND if there is none, or the directory is no snapshot. Directories of nvme
// that do not exist hold nothing.
ft_status ft_store_find_snapshot(const char *directory, const ft_store_options *options, char id[FT_HASH_TEXT]);
// Opens a prepared store for reading and checks it against the source (sizes, mtimes, header hashes; of a store made from the hub
// nothing but the commit where model_directory is that commit's snapshot) and its own files'
// sizes. The shape is read from the model's config.json of today, whose sizes must be those of the store; model_directory NULL
// skips the source (verify STORE) and takes the shape of the manifest. FT_E_NOT_FOUND if there is no such store, or only an
// unfinished one; FT_E_INPUT names the directory that is missing, foreign or given twice, or the source file that changed.
ft_status ft_store_open(ft_store **store, const char *model_directory, const char *id, const ft_store_options *options);
void ft_store_close(ft_store *store);

// Reads one whole record into host memory, verifying every stripe; re-reads a failing stripe once. Memory aligned to
// FT_IO_ALIGN is read into directly, other memory through buffers.
ft_status ft_store_read_record(ft_store *store, int record, void *dst);
// The stripe holding a byte of a record.
const ft_stripe *ft_store_locate(const ft_store *store, int record, int64_t record_offset);
// Hash check of stripe bytes in memory; FT_E_CORRUPT names drive directory, file, offset.
ft_status ft_store_check(const ft_store *store, const ft_stripe *stripe, const void *data);
// The data files are where they were and as long as they were: a run asks between steps, since an open file that was removed
// goes on being readable. FT_E_IO names the file. No allocation.
ft_status ft_store_check_files(const ft_store *store);
// Reads and checks everything, with progress.
ft_status ft_store_verify(ft_store *store);

// `store list`, `store remove`: looks at every DRIVE/ft-store.
typedef struct {
    char id[FT_HASH_TEXT];
    char *source;
    char *repository, *revision, *commit;  // of the hub, NULL = made from a directory
    ft_base_format format;
    int64_t bytes;
    int n_drives, found_drives;  // parts it was made of (0 = no readable manifest), and directories that hold something of it
    bool complete;            // false: a build that was not finished, or directories missing
} ft_store_entry;
ft_status ft_store_list(const char *const *nvme, int n_nvme, ft_store_entry **entries, int *n);
void ft_store_list_free(ft_store_entry *entries, int n);
// Removes what the given directories hold of an id, unfinished builds included. FT_E_NOT_FOUND if that is nothing, FT_E_BUSY
// while it is being prepared. A process that has the store open keeps reading its open files.
ft_status ft_store_remove(const char *const *nvme, int n_nvme, const char *id);

#endif
