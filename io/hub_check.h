// The threads that hash what arrives.
#ifndef FT_IO_HUB_CHECK_H
#define FT_IO_HUB_CHECK_H

#include "io/hub_fetch.h"

enum { FT_HUB_CHECKERS = 4 };

typedef struct {
    ft_hub_item *items;
    int n_threads;
    pthread_t threads[FT_HUB_CHECKERS];
    pthread_mutex_t lock;  // guards hashing, checked, verdict and message of the items, and what follows
    pthread_cond_t work;
    int first, last;       // items in [first, last) may have work
    bool ending;
} ft_hub_checkers;

ft_status ft_hub_checkers_start(ft_hub_checkers *checkers, ft_hub_item *items);
void ft_hub_checkers_stop(ft_hub_checkers *checkers);
void ft_hub_checkers_wake(ft_hub_checkers *checkers);
// Items in [first, last) are open or done; the thread that fetches moves the bounds.
void ft_hub_checkers_window(ft_hub_checkers *checkers, int first, int last);
// Whether the item's verdict has come. No checker looks at the item until `checked` is false again.
bool ft_hub_checkers_verdict(ft_hub_checkers *checkers, ft_hub_item *item, ft_status *verdict);

#endif
