// One stripe, read and verified: at its first read, and whenever it is its turn again (streamer_verify.h). A transfer that fails,
// or bytes that are not the ones written, are worth one more attempt: a cable or a controller may have hiccuped. After that the
// streamer stops.
#include "common/log.h"
#include "offload/streamer_internal.h"

typedef enum { CHECK_NONE, CHECK_FIRST, CHECK_AGAIN } check;

// What there is to check of a read of the stripe.
static check check_of(const ft_store *store, const ft_stripe *stripe)
{
    int verified = __atomic_load_n(&store->verified[stripe - store->stripe], __ATOMIC_RELAXED);
    return verified == FT_STRIPE_VERIFIED ? CHECK_NONE : verified == FT_STRIPE_AGAIN ? CHECK_AGAIN : CHECK_FIRST;
}

static void submit(ft_stripe_read *read)
{
    ft_drive_submit(read->streamer->store->drive[read->stripe->drive], &read->request);
}

static void finish(ft_stripe_read *read, ft_status status, check what)
{
    ft_streamer *s = read->streamer;
    pthread_mutex_lock(&s->lock);
    if (status == FT_E_CORRUPT && what == CHECK_AGAIN) s->suspect = true;
    if (status != FT_OK) ft_stream_fail(s, status);
    else s->stats.bytes_nvme_read += read->stripe->bytes;
    s->stats.stripes_verified += status == FT_OK && what == CHECK_FIRST;
    s->stats.stripes_sampled_host += status == FT_OK && what == CHECK_AGAIN;
    s->stats.stripes_reread += read->again;
    s->in_flight[read->stripe->drive]--;
    ft_meter_drive_end(s->meter, (int)read->stripe->drive, read->asked_s,
                       (ft_span_label){.kind = FT_SPAN_READ, .layer = (int32_t)s->plan->layout.record[read->stripe->record].layer, .part = -1,
                                       .bytes = read->stripe->bytes});
    pthread_cond_signal(&s->reader.wake);
    read->done(read, status);
    ft_stream_request_ended(s);
    pthread_mutex_unlock(&s->lock);
}

static void complete(ft_drive_request *request)
{
    ft_stripe_read *read = request->user;
    const ft_store *store = read->streamer->store;
    check what = check_of(store, read->stripe);
    ft_status status = request->status == FT_OK ? FT_OK : ft_error_adopt(request->status, request->message);
    if (status == FT_OK && what != CHECK_NONE) status = ft_store_check(store, read->stripe, request->buffer);
    if (status == FT_OK || read->again) {
        finish(read, status, what);
        return;
    }
    read->again = true;
    submit(read);
}

void ft_stripe_read_start(ft_streamer *s, ft_stripe_read *read, const ft_stripe *stripe, void *dst)
{
    pthread_mutex_lock(&s->lock);
    s->in_flight[stripe->drive]++;
    s->requests++;
    pthread_mutex_unlock(&s->lock);
    read->streamer = s;
    read->stripe = stripe;
    read->again = false;
    read->asked_s = ft_now_s();
    ft_meter_drive_begin(s->meter, (int)stripe->drive);
    read->request = (ft_drive_request){.op = FT_IO_READ, .file = s->store->file[stripe->drive], .buffer = dst, .offset = stripe->offset,
                                       .bytes = stripe->bytes, .complete = complete, .user = read};
    submit(read);
}
