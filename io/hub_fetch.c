// The loop of a download, on the caller's thread:
//   settle   items whose hash is known are done; one that is wrong begins anew, once
//   assign   free slots get the next range of the first item that has one
//   move     bytes; ended requests go on with their next hop, the next attempt, or are done
// A slot is one request. Its bytes go straight into the part; the journal hears of them every JOURNAL bytes, so that a killed
// process loses at most that much per connection.
#include "io/hub_fetch.h"

#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/commit.h"
#include "io/hub_check.h"

enum { RANGE_MIN = 1 << 20, RANGE_MAX = 32 << 20, RANGES_EACH = 4, JOURNAL = 8 << 20, OPEN_AT_ONCE = 64 };
static const double slice_s = 0.1, look_again_s = 0.2;

typedef struct fetch fetch;

typedef struct {
    ft_hub_request request;  // first: a transfer that has ended is its slot
    fetch *f;
    ft_hub_item *item;       // NULL = free
    int64_t recorded;        // of the range, in the journal up to here
    ft_hub_state state;
} slot;

struct fetch {
    const ft_hub_listing *listing;
    ft_hub_item *items;
    int n, connections;
    slot *slots;
    ft_hub_checkers checkers;
    int first, last;         // items before first are done, those from last on not begun
    int n_open, n_done;
    int64_t bytes, total;    // arrived, of all
    bool quiet, told;        // told: that another process is waited for
    ft_progress progress;
};

void ft_hub_item_free(ft_hub_item *item)
{
    ft_unlock_file(item->lock);
    item->lock = -1;
    ft_hub_part_free(&item->part);
    ft_free(item->lock_path);
    ft_free(item->target);
}

// ---- items

static void set_window(fetch *f)
{
    while (f->first < f->last && f->items[f->first].state == FT_HUB_ITEM_DONE) f->first++;
    ft_hub_checkers_window(&f->checkers, f->first, f->last);
}

static void set_state(fetch *f, ft_hub_item *item, ft_hub_item_state state)
{
    pthread_mutex_lock(&f->checkers.lock);
    f->n_open += (state == FT_HUB_ITEM_OPEN) - (item->state == FT_HUB_ITEM_OPEN);
    item->state = state;
    pthread_mutex_unlock(&f->checkers.lock);
}

static void set_done(fetch *f, ft_hub_item *item)
{
    set_state(f, item, FT_HUB_ITEM_DONE);
    ft_unlock_file(item->lock);
    item->lock = -1;
    f->n_done++;
    set_window(f);
}

// It turned up whole, made by another process.
static ft_status adopt(fetch *f, ft_hub_item *item)
{
    f->bytes += item->part.file->bytes - ft_hub_part_bytes(&item->part);
    FT_TRY(item->finish(item));
    set_done(f, item);
    return FT_OK;
}

static void wait_for_other(fetch *f, ft_hub_item *item)
{
    if (!f->told) ft_info("%s: another process downloads %s; waiting for it", f->listing->repository, item->part.file->path);
    f->told = true;
    set_state(f, item, FT_HUB_ITEM_ELSEWHERE);
    item->due_s = ft_now_s() + look_again_s;
}

static ft_status open_item(fetch *f, ft_hub_item *item)
{
    if (item->lock_path) {
        ft_status status = ft_lock_file(item->lock_path, &item->lock);
        if (status == FT_E_BUSY) wait_for_other(f, item);
        if (status != FT_OK) return status == FT_E_BUSY ? FT_OK : status;
    }
    if (item->lock_path && ft_path_exists(item->target)) return adopt(f, item);
    int64_t before = ft_hub_part_bytes(&item->part);
    FT_TRY(ft_hub_part_open(&item->part));
    f->bytes += ft_hub_part_bytes(&item->part) - before;
    item->next = 0;
    set_state(f, item, FT_HUB_ITEM_OPEN);
    return FT_OK;
}

// A wrong hash: what was left by others may be to blame, or a host in the middle. Once more, all of it.
static ft_status begin_anew(fetch *f, ft_hub_item *item)
{
    if (item->again++ > 0)
        return ft_error(FT_E_CORRUPT, "%s: %s; nothing of it was kept: try again later, or through another network", f->listing->repository, item->message);
    ft_warn("%s: %s; it is fetched again from its start", f->listing->repository, item->message);
    pthread_mutex_lock(&f->checkers.lock);  // no checker looks at it while it changes
    f->bytes -= item->part.file->bytes;
    ft_status status = ft_hub_part_reset(&item->part);
    item->next = 0;
    item->checked = false;
    pthread_mutex_unlock(&f->checkers.lock);
    return status;
}

static ft_status settle_item(fetch *f, ft_hub_item *item)
{
    ft_status verdict;
    if (item->state != FT_HUB_ITEM_OPEN || item->active > 0 || !ft_hub_checkers_verdict(&f->checkers, item, &verdict)) return FT_OK;
    if (verdict == FT_OK) set_done(f, item);
    else if (verdict == FT_E_CORRUPT) FT_TRY(begin_anew(f, item));
    else return ft_error_adopt(verdict, item->message);
    return FT_OK;
}

// ---- slots

static ft_status on_bytes(void *user, int64_t offset, const void *data, size_t n)
{
    slot *s = user;
    FT_TRY(ft_hub_part_write(&s->item->part, offset, data, n));
    s->f->bytes += (int64_t)n;
    int64_t end = offset + (int64_t)n;
    if (end - s->recorded >= JOURNAL) {
        FT_TRY(ft_hub_part_record(&s->item->part, s->recorded, end));
        s->recorded = end;
        ft_hub_checkers_wake(&s->f->checkers);
    }
    return FT_OK;
}

static ft_status end_slot(slot *s)
{
    ft_hub_item *item = s->item;
    int64_t end = s->request.begin + s->request.done;
    ft_hub_request_end(&s->request);
    s->item = NULL;
    item->active--;
    ft_status status = ft_hub_part_record(&item->part, s->recorded, end);
    ft_hub_checkers_wake(&s->f->checkers);
    return status;
}

static ft_status begin_slot(fetch *f, slot *s, ft_hub_item *item, ft_extent range)
{
    *s = (slot){.f = f, .item = item, .recorded = range.begin, .state = FT_HUB_RUNNING};
    s->request = (ft_hub_request){.client = f->listing->client, .subject = ft_hub_subject_of(f->listing, item->part.file),
                                  .file = (int)(item->part.file - f->listing->files), .entry = item->part.file,
                                  .address = ft_hub_resolve_address(f->listing, item->part.file),
                                  .begin = range.begin, .end = range.end, .sink = on_bytes, .user = s};
    item->next = range.end;
    item->active++;
    return ft_hub_request_begin(&s->request);
}

// The first request of an item finds its address and whether it comes in ranges; the others wait for that.
static void look_at_answer(slot *s)
{
    const ft_http_transfer *t = &s->request.transfer;
    s->item->located = s->item->located || s->request.located;
    if (t->code == 200 && t->arrived > 0 && t->bytes < s->item->part.file->bytes) s->item->whole = true;
}

static bool next_range(fetch *f, ft_hub_item *item, ft_extent *range)
{
    if (item->state != FT_HUB_ITEM_OPEN || (item->active > 0 && (!item->located || item->whole))) return false;
    if (!ft_hub_part_hole(&item->part, item->next, range)) return false;
    int64_t share = item->part.file->bytes / (RANGES_EACH * f->connections), most = share < RANGE_MIN ? RANGE_MIN : share > RANGE_MAX ? RANGE_MAX : share;
    if (!item->whole && range->end - range->begin > most) range->end = range->begin + most;
    return true;
}

// The next item that is not begun, if more may be open.
static ft_status advance(fetch *f, bool *advanced)
{
    *advanced = f->last < f->n && f->n_open < OPEN_AT_ONCE;
    if (!*advanced) return FT_OK;
    ft_status status = open_item(f, &f->items[f->last++]);
    set_window(f);
    return status;
}

static ft_status assign(fetch *f, slot *s)
{
    ft_extent range;
    for (;;) {
        for (int i = f->first; i < f->last; i++)
            if (next_range(f, &f->items[i], &range)) return begin_slot(f, s, &f->items[i], range);
        bool advanced;
        FT_TRY(advance(f, &advanced));
        if (!advanced) return FT_OK;
    }
}

static ft_status step_slot(slot *s)
{
    FT_TRY(ft_hub_request_step(&s->request, &s->state));
    look_at_answer(s);
    return s->state == FT_HUB_DONE ? end_slot(s) : FT_OK;
}

// ---- the loop

static ft_status settle(fetch *f)
{
    for (int i = f->first; i < f->last; i++) {
        ft_hub_item *item = &f->items[i];
        if (item->state == FT_HUB_ITEM_ELSEWHERE && ft_now_s() >= item->due_s) FT_TRY(open_item(f, item));
        FT_TRY(settle_item(f, item));
    }
    return FT_OK;
}

static ft_status assign_all(fetch *f)
{
    for (int i = 0; i < f->connections; i++) {
        slot *s = &f->slots[i];
        if (s->item && s->state == FT_HUB_RUNNING) look_at_answer(s);
        if (s->item == NULL) FT_TRY(assign(f, s));
        else if (s->state == FT_HUB_WAITING && ft_now_s() >= s->request.due_s) FT_TRY(step_slot(s));
    }
    return FT_OK;
}

static ft_status move(fetch *f)
{
    ft_http_transfer *ended;
    double wait_s = slice_s;
    for (int i = f->first; i < f->last && wait_s == slice_s; i++)
        if (f->items[i].state == FT_HUB_ITEM_OPEN && f->items[i].active == 0) wait_s = 0.005;  // a checker's verdict is near
    FT_TRY(ft_http_wait(f->listing->client->http, wait_s, &ended));
    return ended ? step_slot((slot *)(void *)ended) : FT_OK;
}

static void show(fetch *f)
{
    if (!f->quiet) ft_progress_note(&f->progress, (double)f->bytes, "%d/%d files", f->n_done, f->n);
}

static ft_status loop(fetch *f, const volatile int *cancel)
{
    while (f->n_done < f->n) {
        if (ft_hub_cancelled(cancel)) return ft_error(FT_E_STOPPED, "%s: stopped; what has arrived is kept, the same command goes on from there", f->listing->repository);
        FT_TRY(settle(f));
        FT_TRY(assign_all(f));
        FT_TRY(move(f));
        show(f);
    }
    return FT_OK;
}

static ft_status begin(fetch *f)
{
    f->slots = FT_NEW_ARRAY(slot, f->connections);
    FT_ALLOC_CHECK(f->slots);
    for (int i = 0; i < f->n; i++) {
        f->items[i].lock = -1;
        f->total += f->items[i].part.file->bytes;
        f->bytes += ft_hub_part_bytes(&f->items[i].part);
    }
    FT_TRY(ft_hub_client_connect(f->listing->client, f->connections));
    return ft_hub_checkers_start(&f->checkers, f->items, f->n);
}

// What runs is cut off, and what it brought is recorded.
static void stop(fetch *f)
{
    for (int i = 0; i < f->connections; i++)
        if (f->slots[i].item) end_slot(&f->slots[i]);
}

ft_status ft_hub_fetch(const ft_hub_listing *listing, ft_hub_item *items, int n, const ft_hub_options *options, const volatile int *cancel)
{
    fetch f = {.listing = listing, .items = items, .n = n, .quiet = options && options->quiet,
               .connections = options && options->connections > 0 ? options->connections : FT_HUB_CONNECTIONS};
    char message[FT_ERROR_MESSAGE_BYTES];
    ft_status status = begin(&f);
    if (status == FT_OK) {
        if (!f.quiet) ft_progress_begin(&f.progress, "downloading", "B", (double)f.total);
        if (!f.quiet) ft_progress_resume(&f.progress, (double)f.bytes);
        status = loop(&f, cancel);
        snprintf(message, sizeof message, "%s", ft_error_message());
        stop(&f);
        ft_hub_checkers_stop(&f.checkers);
        if (!f.quiet) ft_progress_end(&f.progress);
        if (status != FT_OK) ft_error_adopt(status, message);
    }
    ft_free(f.slots);
    return status;
}
