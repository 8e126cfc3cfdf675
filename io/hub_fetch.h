// Many files at once over a number of connections: large ones in ranges that are in flight together, each file checked against its
// hash on threads beside, as far as its bytes are there from the start.
#ifndef FT_IO_HUB_FETCH_H
#define FT_IO_HUB_FETCH_H

#include "io/hub_internal.h"
#include "io/hub_part.h"

typedef enum { FT_HUB_ITEM_NEW, FT_HUB_ITEM_ELSEWHERE, FT_HUB_ITEM_OPEN, FT_HUB_ITEM_DONE } ft_hub_item_state;

// A file to be fetched. The caller fills in the first part; the rest is the fetch's.
typedef struct ft_hub_item {
    ft_hub_part part;       // ft_hub_part_init
    char *lock_path;        // held while the file is written, so that one process alone does; NULL = none
    char *target;           // the whole file's name; if it turns up meanwhile, another process has made it
    ft_status (*finish)(struct ft_hub_item *item);  // the file is whole and right, or was found so; on any thread
    void *user;
    // state
    ft_hub_item_state state;
    int lock;
    int64_t next;           // bytes before it were handed out or are there
    int active;             // requests that run
    bool located;           // bytes have come: more requests may follow the first
    bool whole;             // the host does not answer with ranges
    int again;              // times that it was begun anew after a wrong hash
    double due_s;           // ELSEWHERE: when to look again
    bool hashing, checked;  // guarded by the fetch's lock
    ft_status verdict;
    char message[FT_ERROR_MESSAGE_BYTES];
} ft_hub_item;

void ft_hub_item_free(ft_hub_item *item);
// FT_E_IO with the missing bytes if what is left of the items does not fit on the drive of `directory`.
ft_status ft_hub_check_room(const ft_hub_item *items, int n, const char *directory, const char *name);
// All items; on failure what has arrived stays with the parts and in their journals.
ft_status ft_hub_fetch(const ft_hub_listing *listing, ft_hub_item *items, int n, const ft_hub_options *options, const volatile int *cancel);

#endif
