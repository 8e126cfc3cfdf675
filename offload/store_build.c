// `prepare`: from a model directory to a valid store.
//
// A build goes through the records' extents in table order. Every ft_store_checkpoint_bytes it makes what it has durable (data
// files synced, then the journal), so a killed build continues at the last extent the journal holds and gives the same bytes.
// Everything a directory holds of an id is in one of the part states of store_internal.h; the locks keep it so while we work.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "io/commit.h"
#include "offload/store_hub.h"

int64_t ft_store_checkpoint_bytes = (int64_t)256 << 20;
#define RANDOM_CHECKPOINTS 16  // times as far apart where the bytes are soon made again

static ft_status open_drives(ft_store_build *build)
{
    for (int d = 0; d < build->directories.n; d++) {
        const ft_store_directory *directory = &build->directories.item[d];
        FT_TRY(ft_drive_open(&build->drive[d], directory->building, &build->options->io));
        FT_TRY(ft_drive_open_file(build->drive[d], FT_STORE_DATA, true, &build->file[d]));
        if (build->table.drive_bytes[d] > 0) FT_TRY(ft_drive_reserve(build->drive[d], build->file[d], build->table.drive_bytes[d]));
        FT_TRY(ft_sync_directory(directory->building));
    }
    return FT_OK;
}

static ft_status checkpoint(ft_store_build *build)
{
    FT_TRY(ft_store_sink_wait(build->sink));
    if (build->produced == build->durable) return FT_OK;
    for (int d = 0; d < build->directories.n; d++) FT_TRY(ft_drive_sync(build->drive[d], build->file[d]));
    FT_TRY(ft_journal_append(build->journal, build->journal_path, &build->table, build->durable, build->produced, build->error));
    build->durable = build->produced;
    return FT_OK;
}

static bool checkpoint_due(const ft_store_build *build)
{
    int64_t bytes = 0;
    for (int64_t i = build->durable; i < build->produced; i++) bytes += build->table.stripe[i].bytes;
    return bytes >= ft_store_checkpoint_bytes * (build->random != NULL ? RANDOM_CHECKPOINTS : 1);
}

static ft_status fill_extent(ft_store_build *build, int record, ft_group group, int64_t stripes)
{
    FT_TRY(ft_store_fill_extent(&build->filler, record, group));
    build->produced += stripes;
    memcpy(build->error, build->filler.error, sizeof build->error);
    return checkpoint_due(build) ? checkpoint(build) : FT_OK;
}

// A weight file of the hub goes when everything made of it is durable.
static ft_status fill_extent_of_hub(ft_store_build *build, int record, ft_group group, int64_t stripes)
{
    int extent = ft_extent_number(record, group);
    FT_TRY(ft_shards_need(build->shards, extent, build->filler.progress));
    FT_TRY(fill_extent(build, record, group, stripes));
    if (!ft_shards_end_with(build->shards, extent)) return FT_OK;
    FT_TRY(checkpoint(build));
    ft_shards_release(build->shards, extent);
    return FT_OK;
}

static ft_status fill_from_start(ft_store_build *build)
{
    const ft_layout *layout = &build->source.layout;
    int64_t first = 0;
    for (int r = 0; r < layout->n_records; r++)
        for (ft_group g = 0; g < FT_GROUP_COUNT; g++) {
            int64_t stripes = ft_extent_stripes(layout->record[r].extent[g]);
            bool here = first >= build->produced && stripes > 0;
            if (here && build->shards != NULL) FT_TRY(fill_extent_of_hub(build, r, g, stripes));
            else if (here) FT_TRY(fill_extent(build, r, g, stripes));
            first += stripes;
        }
    return FT_OK;
}

// A stopped build keeps the extents it finished.
static ft_status fill_all(ft_store_build *build)
{
    ft_progress progress;
    char done[FT_HUMAN_BYTES], total[FT_HUMAN_BYTES];
    ft_store_sink_seek(build->sink, build->produced);
    memcpy(build->filler.error, build->error, sizeof build->error);
    build->filler.cancel = build->cancel;
    if (!build->options->quiet) {
        bool fetches = build->shards != NULL;
        int64_t all = fetches ? ft_shards_bytes(&build->source) : build->source.layout.bytes;
        ft_progress_begin(&progress, fetches ? "fetching and converting" : "preparing", "B", (double)all);
        ft_progress_resume(&progress, ft_store_filler_done(&build->filler));
        build->filler.progress = &progress;
    }
    ft_status status = fill_from_start(build);
    if (!build->options->quiet) ft_progress_end(&progress);
    if (status != FT_OK && status != FT_E_STOPPED) return status;
    FT_TRY(checkpoint(build));
    if (status == FT_OK) return FT_OK;
    return ft_error(FT_E_STOPPED, "prepare was stopped at %s of %s: the same command continues",
                    ft_human_bytes(done, (double)ft_store_sink_position(build->sink)),
                    ft_human_bytes(total, (double)build->source.layout.bytes));
}

// Drives first: they finish what is in flight out of the sink's buffers.
static void close_drives(ft_store_build *build)
{
    for (int d = 0; d < FT_MAX_DRIVES; d++) {
        ft_drive_close(build->drive[d]);
        build->drive[d] = NULL;
    }
    ft_store_filler_free(&build->filler);
    ft_store_sink_free(build->sink);
    build->sink = NULL;
    ft_shards_close(build->shards);
    build->shards = NULL;
}

static ft_status open_shards(ft_store_build *build)
{
    int extent = 0;
    for (int64_t stripes = 0; stripes < build->produced; extent++)
        stripes += ft_extent_stripes(build->source.layout.record[extent / FT_GROUP_COUNT].extent[extent % FT_GROUP_COUNT]);
    FT_TRY(ft_shards_open(&build->shards, &build->source, build->scratch, extent, build->cancel));
    build->filler.shards = build->shards;
    return FT_OK;
}

static ft_status build_and_write(ft_store_build *build)
{
    char size[FT_HUMAN_BYTES];
    FT_TRY(ft_store_start(build));
    ft_info("%s the %s base store of %s: %s on %d drive%s", build->produced > 0 ? "continuing" : "preparing",
            ft_base_format_name(build->manifest.format), build->source.directory,
            ft_human_bytes(size, (double)build->source.layout.bytes), build->directories.n, build->directories.n > 1 ? "s" : "");
    FT_TRY(open_drives(build));
    FT_TRY(ft_store_sink_new(&build->sink, &build->table, build->drive, build->file));
    FT_TRY(ft_store_filler_init(&build->filler, &build->source, build->random, build->sink));
    if (build->source.listing != NULL) FT_TRY(open_shards(build));
    FT_TRY(fill_all(build));
    close_drives(build);
    memcpy(build->manifest.error, build->error, sizeof build->error);
    FT_TRY(ft_store_commit_write(&build->directories, &build->table, &build->manifest));
    if (build->random != NULL) return FT_OK;
    ft_announce_result(build);
    return FT_OK;
}

static ft_status make(ft_store_build *build)
{
    FT_TRY(ft_stripe_table_make(&build->table, &build->source.layout, build->directories.n));
    FT_TRY(ft_manifest_init(&build->manifest, &build->source, build->options->format, build->directories.id));
    build->manifest.n_drives = build->directories.n;
    memcpy(build->manifest.drive_bytes, build->table.drive_bytes, sizeof build->manifest.drive_bytes);
    if (build->source.listing != NULL) FT_TRY(ft_announce_room(build));
    return build_and_write(build);
}

// Some parts have their final names. That is a commit to finish if the rest is written, else something was taken away.
static ft_status check_rest_written(ft_store_build *build)
{
    char command[FT_STORE_COMMAND_TEXT];
    const int *count = build->parts.count;
    FT_TRY(ft_store_parts_match(&build->parts, &build->directories));
    if (count[FT_PART_FINAL] + count[FT_PART_WRITTEN] == build->directories.n) return FT_OK;
    return ft_error(FT_E_CORRUPT, "base store %s is damaged: %d of its %d parts are not whole: run `%s`, then prepare again",
                    build->directories.id, count[FT_PART_BUILDING], build->directories.n,
                    ft_store_remove_command(&build->directories, command));
}

static ft_status look(ft_store_build *build, bool *complete)
{
    ft_store_parts_free(&build->parts);
    FT_TRY(ft_store_parts_read(&build->parts, &build->directories));
    *complete = build->parts.count[FT_PART_FINAL] == build->directories.n;
    return FT_OK;
}

// A store that is there needs no lock: runs that start together on it, or on drives mounted read-only, do not meet.
static ft_status make_unless_there(ft_store_build *build, bool *made)
{
    const int *count = build->parts.count;
    bool complete;
    *made = false;
    FT_TRY(look(build, &complete));
    if (complete) return FT_OK;
    FT_TRY(ft_store_directories_lock(&build->directories));
    FT_TRY(look(build, &complete));
    if (complete) return FT_OK;
    *made = true;
    bool written = count[FT_PART_FINAL] + count[FT_PART_WRITTEN] == build->directories.n;
    if (count[FT_PART_FINAL] > 0 || written) FT_TRY(check_rest_written(build));
    else FT_TRY(make(build));
    return ft_store_commit_rename(&build->directories);
}

ft_store_build *ft_store_build_new(const ft_store_options *options, const volatile int *cancel)
{
    ft_store_build *build = FT_NEW(ft_store_build);
    if (build == NULL) return NULL;
    build->options = options;
    build->cancel = cancel;
    build->journal = -1;
    return build;
}

void ft_store_build_free(ft_store_build *build)
{
    close_drives(build);
    if (build->journal >= 0) close(build->journal);
    ft_free(build->journal_path);
    ft_stripe_table_free(&build->table);
    ft_manifest_free(&build->manifest);
    ft_store_parts_free(&build->parts);
    ft_store_directories_close(&build->directories);
    ft_store_source_close(&build->source);
    ft_free(build);
}

ft_status ft_store_build_run(ft_store_build *build, const char id[FT_HASH_TEXT], bool *made)
{
    FT_TRY(ft_store_directories_open(&build->directories, build->options->nvme, build->options->n_nvme, id));
    return make_unless_there(build, made);
}

static ft_status prepare(ft_store_build *build, const char *model_directory, char id[FT_HASH_TEXT])
{
    const ft_store_options *options = build->options;
    bool made;
    FT_TRY(ft_store_source_open(&build->source, model_directory, options->format));
    FT_TRY(ft_store_source_id(&build->source, options->format, id));
    return ft_store_build_run(build, id, &made);
}

ft_status ft_store_prepare(const char *model_directory, const ft_store_options *options, const volatile int *cancel)
{
    char id[FT_HASH_TEXT];
    ft_store_build *build = ft_store_build_new(options, cancel);
    FT_ALLOC_CHECK(build);
    ft_status status = prepare(build, model_directory, id);
    ft_store_build_free(build);
    FT_TRY(status);
    ft_store *store;
    FT_TRY(ft_store_open(&store, model_directory, id, options));
    ft_store_close(store);
    return FT_OK;
}
