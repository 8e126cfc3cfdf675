// What hub_fetch.c (slots and the loop) and hub_items.c (what becomes of an item) share.
#ifndef FT_IO_HUB_FETCH_INTERNAL_H
#define FT_IO_HUB_FETCH_INTERNAL_H

#include "common/log.h"
#include "io/hub_check.h"

// One request.
typedef struct {
    ft_hub_request request;  // first: a transfer that has ended is its slot
    struct ft_hub_fetch *f;
    ft_hub_item *item;       // NULL = free
    int64_t recorded;        // of the range, in the journal up to here
    ft_hub_state state;
} ft_hub_slot;

typedef struct ft_hub_fetch {
    const ft_hub_listing *listing;
    ft_hub_item *items;
    int n, connections;
    ft_hub_slot *slots;
    ft_hub_checkers checkers;
    int first, last;         // items before first are done, those from last on not begun
    int n_open, n_done;
    int64_t bytes, total;    // arrived, of all
    bool quiet, told;        // told: that another process is waited for
    ft_progress progress;
} ft_hub_fetch_state;

// Takes the lock and opens the part; one that another process holds waits, one that is there whole is done.
ft_status ft_hub_item_open(ft_hub_fetch_state *f, ft_hub_item *item);
// Takes the checkers' verdict, if it has come and no request of the item runs.
ft_status ft_hub_item_settle(ft_hub_fetch_state *f, ft_hub_item *item);
// Tells the checkers which items may have work.
void ft_hub_items_window(ft_hub_fetch_state *f);

#endif
