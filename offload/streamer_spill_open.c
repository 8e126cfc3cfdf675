// The spill's memory, files and thread.
//
// The spill file of a drive has no name once it is open, so nothing is left behind however the process ends. Its pieces stand
// one after the other, each at a multiple of 4 KiB; a unit's pieces go round the drives.
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "offload/streamer_spill.h"

static int64_t pieces_of(int64_t bytes)
{
    return (bytes + FT_SPILL_PIECE - 1) / FT_SPILL_PIECE;
}

static int64_t buffer_bytes(int64_t largest_unit)
{
    return ft_stream_round(largest_unit < FT_SPILL_PIECE ? largest_unit : FT_SPILL_PIECE);
}

int64_t ft_spill_pool_bytes(int64_t largest_unit)
{
    return FT_SPILL_BUFFERS * buffer_bytes(largest_unit);
}

static void place_unit(ft_spill *spill, ft_unit *unit, int64_t *next, int64_t *end)
{
    unit->first_piece = *next;
    unit->n_pieces = pieces_of(unit->bytes);
    for (int64_t i = 0; i < unit->n_pieces; i++, ++*next) {
        int64_t rest = unit->bytes - i * FT_SPILL_PIECE;
        uint32_t drive = (uint32_t)(*next % spill->streamer->store->n_drives);
        uint32_t bytes = (uint32_t)ft_stream_round(rest < FT_SPILL_PIECE ? rest : FT_SPILL_PIECE);
        spill->piece[*next] = (ft_spill_piece){.drive = drive, .bytes = bytes, .offset = end[drive]};
        end[drive] += bytes;
    }
}

// Fills the table of pieces; end[drive] becomes the size of each drive's file.
static ft_status place_units(ft_spill *spill, int64_t *end)
{
    ft_streamer *s = spill->streamer;
    int64_t pieces = 0, next = 0;
    for (int64_t i = 0; i < s->n_units; i++)
        if (s->unit[i].home == FT_TIER_NVME) pieces += pieces_of(s->unit[i].bytes);
    spill->piece = FT_NEW_ARRAY(ft_spill_piece, pieces);
    FT_ALLOC_CHECK(spill->piece);
    for (int64_t i = 0; i < s->n_units; i++)
        if (s->unit[i].home == FT_TIER_NVME) place_unit(spill, &s->unit[i], &next, end);
    return FT_OK;
}

static ft_status open_file(ft_spill *spill, int index, int64_t bytes)
{
    static atomic_int counter;
    ft_drive *drive = spill->streamer->store->drive[index];
    char name[64];
    snprintf(name, sizeof name, "ft-spill-%d-%d", (int)getpid(), atomic_fetch_add(&counter, 1));
    char *path = ft_path_join(ft_drive_directory(drive), name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_drive_open_file(drive, name, true, &spill->file[index]);
    unlink(path);
    ft_free(path);
    if (status != FT_OK || bytes == 0) return status;
    return ft_drive_reserve(drive, spill->file[index], bytes);
}

static ft_status make_buffers(ft_spill *spill)
{
    ft_streamer *s = spill->streamer;
    int64_t largest = 0;
    for (int64_t i = 0; i < s->n_units; i++)
        if (s->unit[i].home == FT_TIER_NVME && s->unit[i].bytes > largest) largest = s->unit[i].bytes;
    for (int i = 0; i < FT_SPILL_BUFFERS; i++) {
        spill->buffer[i].spill = spill;
        spill->buffer[i].memory = ft_pool_take(s->pool, buffer_bytes(largest));
        FT_TRY(ft_event_create(s->device, &spill->buffer[i].copied));
    }
    for (int i = 0; i < FT_SPILL_PENDING; i++) FT_TRY(ft_event_create(s->device, &spill->operation[i].before));
    FT_TRY(ft_meter_open_track(s->meter, FT_TRACK_SPILL_IN));
    FT_TRY(ft_meter_open_track(s->meter, FT_TRACK_SPILL_OUT));
    FT_TRY(ft_queue_create(s->device, FT_QUEUE_COPY, "spill-load", &spill->h2d));
    return ft_queue_create(s->device, FT_QUEUE_COPY, "spill-store", &spill->d2h);
}

ft_status ft_spill_open(ft_streamer *s)
{
    ft_spill *spill = FT_NEW(ft_spill);
    FT_ALLOC_CHECK(spill);
    spill->streamer = s;
    spill->idle = true;
    pthread_cond_init(&spill->wake, NULL);
    pthread_mutex_lock(&s->lock);
    s->spill = spill;
    pthread_mutex_unlock(&s->lock);
    int64_t end[FT_MAX_DRIVES] = {0};
    FT_TRY(place_units(spill, end));
    for (int i = 0; i < s->store->n_drives; i++) FT_TRY(open_file(spill, i, end[i]));
    FT_TRY(make_buffers(spill));
    FT_TRY(ft_stream_thread(&spill->thread, "ft-spill", ft_spill_main, spill));
    spill->running = true;
    return FT_OK;
}

void ft_spill_join(ft_spill *spill)
{
    if (spill->running) pthread_join(spill->thread, NULL);
    spill->running = false;
}

void ft_spill_close(ft_spill *spill)
{
    if (spill == NULL) return;
    for (int i = 0; i < FT_SPILL_BUFFERS; i++) ft_event_destroy(spill->buffer[i].copied);
    for (int i = 0; i < FT_SPILL_PENDING; i++) ft_event_destroy(spill->operation[i].before);
    ft_queue_destroy(spill->h2d);
    ft_queue_destroy(spill->d2h);
    pthread_cond_destroy(&spill->wake);
    ft_free(spill->piece);
    ft_free(spill);
}
