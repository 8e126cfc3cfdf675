// The loop of a download, on the caller's thread:
//   settle   items whose hash is known are done; one that is wrong begins anew, once
//   assign   free slots get the next range of the first item that has one
//   move     bytes; ended requests go on with their next hop, the next attempt, or are done
// A slot is one request. Its bytes go straight into the part; the journal hears of them every JOURNAL bytes, so that a killed
// process loses at most that much per connection.
#include "io/hub_fetch.h"

#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "io/hub_fetch_internal.h"

enum { RANGE_MIN = 1 << 20, RANGE_MAX = 32 << 20, RANGES_EACH = 4, JOURNAL = 8 << 20, OPEN_AT_ONCE = 64 };
static const double slice_s = 0.1;

// ---- slots

static ft_status on_bytes(void *user, int64_t offset, const void *data, size_t n)
{
    ft_hub_slot *s = user;
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

static ft_status end_slot(ft_hub_slot *s)
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

static ft_status begin_slot(ft_hub_fetch_state *f, ft_hub_slot *s, ft_hub_item *item, ft_extent range)
{
    *s = (ft_hub_slot){.f = f, .item = item, .recorded = range.begin, .state = FT_HUB_RUNNING};
    s->request = (ft_hub_request){.client = f->listing->client, .subject = ft_hub_subject_of(f->listing, item->part.file),
                                  .file = (int)(item->part.file - f->listing->files), .entry = item->part.file,
                                  .address = ft_hub_resolve_address(f->listing, item->part.file),
                                  .begin = range.begin, .end = range.end, .sink = on_bytes, .user = s};
    item->next = range.end;
    item->active++;
    return ft_hub_request_begin(&s->request);
}

// The first request of an item finds its address and whether it comes in ranges; the others wait for that.
static void look_at_answer(ft_hub_slot *s)
{
    const ft_http_transfer *t = &s->request.transfer;
    s->item->located = s->item->located || s->request.located;
    if (t->code == 200 && t->arrived > 0 && t->bytes < s->item->part.file->bytes) s->item->whole = true;
}

static bool next_range(ft_hub_fetch_state *f, ft_hub_item *item, ft_extent *range)
{
    if (item->state != FT_HUB_ITEM_OPEN || (item->active > 0 && (!item->located || item->whole))) return false;
    if (!ft_hub_part_hole(&item->part, item->next, range)) return false;
    int64_t share = item->part.file->bytes / (RANGES_EACH * f->connections), most = share < RANGE_MIN ? RANGE_MIN : share > RANGE_MAX ? RANGE_MAX : share;
    if (!item->whole && range->end - range->begin > most) range->end = range->begin + most;
    return true;
}

// The next item that is not begun, if more may be open.
static ft_status advance(ft_hub_fetch_state *f, bool *advanced)
{
    *advanced = f->last < f->n && f->n_open < OPEN_AT_ONCE;
    if (!*advanced) return FT_OK;
    ft_status status = ft_hub_item_open(f, &f->items[f->last++]);
    ft_hub_items_window(f);
    return status;
}

static ft_status assign(ft_hub_fetch_state *f, ft_hub_slot *s)
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

static ft_status step_slot(ft_hub_slot *s)
{
    FT_TRY(ft_hub_request_step(&s->request, &s->state));
    look_at_answer(s);
    return s->state == FT_HUB_DONE ? end_slot(s) : FT_OK;
}

// ---- the loop

static ft_status settle(ft_hub_fetch_state *f)
{
    for (int i = f->first; i < f->last; i++) {
        ft_hub_item *item = &f->items[i];
        if (item->state == FT_HUB_ITEM_ELSEWHERE && ft_now_s() >= item->due_s) FT_TRY(ft_hub_item_open(f, item));
        FT_TRY(ft_hub_item_settle(f, item));
    }
    return FT_OK;
}

static ft_status assign_all(ft_hub_fetch_state *f)
{
    for (int i = 0; i < f->connections; i++) {
        ft_hub_slot *s = &f->slots[i];
        if (s->item && s->state == FT_HUB_RUNNING) look_at_answer(s);
        if (s->item == NULL) FT_TRY(assign(f, s));
        else if (s->state == FT_HUB_WAITING && ft_now_s() >= s->request.due_s) FT_TRY(step_slot(s));
    }
    return FT_OK;
}

static ft_status move(ft_hub_fetch_state *f)
{
    ft_http_transfer *ended;
    double wait_s = slice_s;
    for (int i = f->first; i < f->last && wait_s == slice_s; i++)
        if (f->items[i].state == FT_HUB_ITEM_OPEN && f->items[i].active == 0) wait_s = 0.005;  // a checker's verdict is near
    FT_TRY(ft_http_wait(f->listing->client->http, wait_s, &ended));
    return ended ? step_slot((ft_hub_slot *)(void *)ended) : FT_OK;
}

static void show(ft_hub_fetch_state *f)
{
    if (!f->quiet) ft_progress_note(&f->progress, (double)f->bytes, "%d/%d files", f->n_done, f->n);
}

static ft_status loop(ft_hub_fetch_state *f, const volatile int *cancel)
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

static ft_status begin(ft_hub_fetch_state *f)
{
    f->slots = FT_NEW_ARRAY(ft_hub_slot, f->connections);
    FT_ALLOC_CHECK(f->slots);
    for (int i = 0; i < f->n; i++) {
        f->items[i].lock = -1;
        f->total += f->items[i].part.file->bytes;
        f->bytes += ft_hub_part_bytes(&f->items[i].part);
    }
    FT_TRY(ft_hub_client_connect(f->listing->client, f->connections));
    return ft_hub_checkers_start(&f->checkers, f->items);
}

// What runs is cut off, and what it brought is recorded.
static void stop(ft_hub_fetch_state *f)
{
    for (int i = 0; i < f->connections; i++)
        if (f->slots[i].item) end_slot(&f->slots[i]);
}

ft_status ft_hub_fetch(const ft_hub_listing *listing, ft_hub_item *items, int n, const ft_hub_options *options, const volatile int *cancel)
{
    ft_hub_fetch_state f = {.listing = listing, .items = items, .n = n, .quiet = options && options->quiet,
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
