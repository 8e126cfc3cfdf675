// Hashing host memory beside the run, and finding out who changed a stripe.
#include "offload/streamer_scrub.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/memory.h"
#include "io/hash.h"
#include "offload/streamer_internal.h"

struct ft_scrub {
    ft_streamer *streamer;
    pthread_t thread;
    pthread_cond_t wake;
    bool started;
    int32_t *stripe;             // [stripes of the store]
    int64_t added;
    int64_t n, done;             // of the round; under the streamer's lock
};

// What is wrong is read once more.
static bool is_right(const ft_streamer *s, const ft_stripe *stripe)
{
    const char *data = s->host_record[stripe->record] + stripe->record_offset;
    return ft_hash64(data, stripe->bytes) == stripe->hash || ft_hash64(data, stripe->bytes) == stripe->hash;
}

static ft_status host_changed(const ft_streamer *s, const ft_stripe *stripe)
{
    return ft_error(FT_E_CORRUPT,
                    "weights in host memory changed after they were read from %s/data: the %u bytes of offset %lld (record %u, byte %lld) are not "
                    "what they were: the machine's memory is failing; test it before going on",
                    ft_drive_directory(s->store->drive[stripe->drive]), stripe->bytes, (long long)stripe->offset, stripe->record,
                    (long long)stripe->record_offset);
}

// --- The thread -------------------------------------------------------------------------------------------------------------
static void look(ft_scrub *scrub, const ft_stripe *stripe)
{
    ft_streamer *s = scrub->streamer;
    pthread_mutex_unlock(&s->lock);
    bool right = is_right(s, stripe);
    pthread_mutex_lock(&s->lock);
    s->stats.stripes_sampled_host++;
    if (right) return;
    s->suspect = true;
    ft_stream_fail(s, host_changed(s, stripe));
}

static void *run(void *argument)
{
    ft_scrub *scrub = argument;
    ft_streamer *s = scrub->streamer;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);  // refused: it runs as the others do
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (scrub->done == scrub->n) {
            pthread_cond_wait(&scrub->wake, &s->lock);
            continue;
        }
        look(scrub, &s->store->stripe[scrub->stripe[scrub->done]]);
        if (++scrub->done == scrub->n) pthread_cond_broadcast(&s->caller_wake);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

ft_status ft_scrub_open(ft_scrub **opened, ft_streamer *s)
{
    ft_scrub *scrub = *opened = FT_NEW(ft_scrub);
    FT_ALLOC_CHECK(scrub);
    scrub->streamer = s;
    pthread_cond_init(&scrub->wake, NULL);
    FT_ALLOC_CHECK(scrub->stripe = FT_NEW_ARRAY(int32_t, s->store->n_stripes));
    FT_TRY(ft_stream_thread(&scrub->thread, "ft-scrub", run, scrub));
    scrub->started = true;
    return FT_OK;
}

void ft_scrub_close(ft_scrub *scrub)
{
    if (scrub == NULL) return;
    pthread_mutex_lock(&scrub->streamer->lock);
    pthread_cond_signal(&scrub->wake);
    pthread_mutex_unlock(&scrub->streamer->lock);
    if (scrub->started) pthread_join(scrub->thread, NULL);
    pthread_cond_destroy(&scrub->wake);
    ft_free(scrub->stripe);
    ft_free(scrub);
}

void ft_scrub_add(ft_scrub *scrub, int32_t stripe)
{
    scrub->stripe[scrub->added++] = stripe;
}

void ft_scrub_start(ft_scrub *scrub)
{
    pthread_mutex_lock(&scrub->streamer->lock);
    scrub->n = scrub->added;
    scrub->added = scrub->done = 0;
    pthread_cond_signal(&scrub->wake);
    pthread_mutex_unlock(&scrub->streamer->lock);
}

void ft_scrub_wait(ft_scrub *scrub)
{
    ft_streamer *s = scrub->streamer;
    pthread_mutex_lock(&s->lock);
    while (scrub->done < scrub->n) pthread_cond_wait(&s->caller_wake, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

// --- The second look --------------------------------------------------------------------------------------------------------
static ft_status read_checked(const ft_streamer *s, const ft_stripe *stripe, void *data)
{
    FT_TRY(ft_drive_transfer(s->store->drive[stripe->drive], FT_IO_READ, s->store->file[stripe->drive], data, stripe->offset, stripe->bytes));
    return ft_store_check(s->store, stripe, data);
}

// No plan counts this memory: the run ends here.
static ft_status check_drive(const ft_streamer *s, const ft_stripe *stripe)
{
    void *data = mmap(NULL, FT_STRIPE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return ft_error(FT_E_CORRUPT, "%s/data: the %u bytes at offset %lld (record %u) were wrong in the device's memory, and there is no memory "
                        "to read them again", ft_drive_directory(s->store->drive[stripe->drive]), stripe->bytes, (long long)stripe->offset,
                        stripe->record);
    ft_status status = read_checked(s, stripe, data);
    if (status != FT_OK) status = read_checked(s, stripe, data);
    munmap(data, FT_STRIPE_BYTES);
    return status;
}

ft_status ft_scrub_diagnose(ft_streamer *s, const ft_stripe *stripe)
{
    bool in_memory = s->host_record[stripe->record] != NULL;
    if (in_memory && !is_right(s, stripe)) return host_changed(s, stripe);
    FT_TRY(check_drive(s, stripe));
    return ft_error(FT_E_CORRUPT,
                    "%s/data: the %u bytes at offset %lld (record %u) are right on the drive%s and were wrong in the device's memory: the link to "
                    "the device, or its memory, is failing",
                    ft_drive_directory(s->store->drive[stripe->drive]), stripe->bytes, (long long)stripe->offset, stripe->record,
                    in_memory ? " and in host memory" : "");
}
