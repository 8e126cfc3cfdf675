// What becomes of an item: new -> elsewhere (another process holds its lock) or open -> done; an open one with a wrong hash begins anew.
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/commit.h"
#include "io/hub_fetch_internal.h"

static const double look_again_s = 0.2;

void ft_hub_item_free(ft_hub_item *item)
{
    ft_unlock_file(item->lock);
    item->lock = -1;
    ft_hub_part_free(&item->part);
    ft_free(item->lock_path);
    ft_free(item->target);
}

void ft_hub_items_window(ft_hub_fetch_state *f)
{
    while (f->first < f->last && f->items[f->first].state == FT_HUB_ITEM_DONE) f->first++;
    ft_hub_checkers_window(&f->checkers, f->first, f->last);
}

static void set_state(ft_hub_fetch_state *f, ft_hub_item *item, ft_hub_item_state state)
{
    pthread_mutex_lock(&f->checkers.lock);
    f->n_open += (state == FT_HUB_ITEM_OPEN) - (item->state == FT_HUB_ITEM_OPEN);
    item->state = state;
    pthread_mutex_unlock(&f->checkers.lock);
}

static void set_done(ft_hub_fetch_state *f, ft_hub_item *item)
{
    set_state(f, item, FT_HUB_ITEM_DONE);
    ft_unlock_file(item->lock);
    item->lock = -1;
    f->n_done++;
    ft_hub_items_window(f);
}

// It turned up whole, made by another process.
static ft_status adopt(ft_hub_fetch_state *f, ft_hub_item *item)
{
    f->bytes += item->part.file->bytes - ft_hub_part_bytes(&item->part);
    FT_TRY(item->finish(item));
    set_done(f, item);
    return FT_OK;
}

static void wait_for_other(ft_hub_fetch_state *f, ft_hub_item *item)
{
    if (!f->told) ft_info("%s: another process downloads %s; waiting for it", f->listing->repository, item->part.file->path);
    f->told = true;
    set_state(f, item, FT_HUB_ITEM_ELSEWHERE);
    item->due_s = ft_now_s() + look_again_s;
}

ft_status ft_hub_item_open(ft_hub_fetch_state *f, ft_hub_item *item)
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

// Forgets its bytes; no checker looks at it meanwhile.
static ft_status reset_item(ft_hub_fetch_state *f, ft_hub_item *item)
{
    pthread_mutex_lock(&f->checkers.lock);
    f->bytes -= item->part.file->bytes;
    ft_status status = ft_hub_part_reset(&item->part);
    item->next = 0;
    item->checked = false;
    pthread_mutex_unlock(&f->checkers.lock);
    ft_hub_checkers_wake(&f->checkers);  // an empty file has no bytes that would
    return status;
}

// A wrong hash: what was left by others may be to blame, or a host in the middle. Once more, all of it.
static ft_status begin_anew(ft_hub_fetch_state *f, ft_hub_item *item)
{
    char message[FT_ERROR_MESSAGE_BYTES];  // a checker may write the item's as soon as that is open again
    memcpy(message, item->message, sizeof message);
    FT_TRY(reset_item(f, item));
    if (item->again++ > 0)
        return ft_error(FT_E_CORRUPT, "%s: %s; nothing of it was kept: try again later, or through another network", f->listing->repository, message);
    ft_warn("%s: %s; it is fetched again from its start", f->listing->repository, message);
    return FT_OK;
}

ft_status ft_hub_item_settle(ft_hub_fetch_state *f, ft_hub_item *item)
{
    ft_status verdict;
    if (item->state != FT_HUB_ITEM_OPEN || item->active > 0 || !ft_hub_checkers_verdict(&f->checkers, item, &verdict)) return FT_OK;
    if (verdict == FT_OK) set_done(f, item);
    else if (verdict == FT_E_CORRUPT) FT_TRY(begin_anew(f, item));
    else return ft_error_adopt(verdict, item->message);
    return FT_OK;
}
