#include "io/hub_check.h"

#include <stdio.h>

#include "common/cpus.h"

enum { SLICE = 8 << 20 };  // bytes of a file before the next one is looked for

// Bytes to hash, or none because there are none at all.
static bool has_work(ft_hub_item *item)
{
    ft_extent hole;
    if (item->state != FT_HUB_ITEM_OPEN || item->hashing || item->checked) return false;
    bool missing = ft_hub_part_hole(&item->part, item->part.hashed, &hole);
    return !missing || hole.begin > item->part.hashed;
}

static ft_hub_item *find_work(ft_hub_checkers *c)
{
    for (int i = c->first; i < c->last; i++)
        if (has_work(&c->items[i])) return &c->items[i];
    return NULL;
}

static void work_on(ft_hub_checkers *c, ft_hub_item *item)
{
    int64_t n;
    ft_status status = ft_hub_part_hash(&item->part, SLICE, &n);
    bool end = status != FT_OK || item->part.hashed == item->part.file->bytes;
    if (end && status == FT_OK) status = item->finish(item);
    pthread_mutex_lock(&c->lock);
    item->hashing = false;
    if (end) {
        item->checked = true;
        item->verdict = status;
        if (status != FT_OK) snprintf(item->message, sizeof item->message, "%s", ft_error_message());
    }
    pthread_mutex_unlock(&c->lock);
}

static void *checker_main(void *argument)
{
    ft_hub_checkers *c = argument;
    pthread_mutex_lock(&c->lock);
    while (!c->ending) {
        ft_hub_item *item = find_work(c);
        if (item == NULL) {
            pthread_cond_wait(&c->work, &c->lock);
            continue;
        }
        item->hashing = true;
        pthread_mutex_unlock(&c->lock);
        work_on(c, item);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

ft_status ft_hub_checkers_start(ft_hub_checkers *c, ft_hub_item *items)
{
    *c = (ft_hub_checkers){.items = items};
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->work, NULL);
    int wanted = ft_cpus_usable() / 2 < FT_HUB_CHECKERS ? ft_cpus_usable() / 2 : FT_HUB_CHECKERS;
    if (wanted < 1) wanted = 1;
    while (c->n_threads < wanted && pthread_create(&c->threads[c->n_threads], NULL, checker_main, c) == 0) c->n_threads++;
    return c->n_threads > 0 ? FT_OK : ft_error(FT_E_NOMEM, "a thread for a download cannot be started");
}

void ft_hub_checkers_stop(ft_hub_checkers *c)
{
    pthread_mutex_lock(&c->lock);
    c->ending = true;
    pthread_cond_broadcast(&c->work);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->n_threads; i++) pthread_join(c->threads[i], NULL);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->work);
}

void ft_hub_checkers_wake(ft_hub_checkers *c)
{
    pthread_mutex_lock(&c->lock);
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->lock);
}

void ft_hub_checkers_window(ft_hub_checkers *c, int first, int last)
{
    pthread_mutex_lock(&c->lock);
    c->first = first;
    c->last = last;
    pthread_cond_broadcast(&c->work);
    pthread_mutex_unlock(&c->lock);
}

bool ft_hub_checkers_verdict(ft_hub_checkers *c, ft_hub_item *item, ft_status *verdict)
{
    pthread_mutex_lock(&c->lock);
    bool come = item->checked;
    *verdict = item->verdict;
    pthread_mutex_unlock(&c->lock);
    return come;
}
