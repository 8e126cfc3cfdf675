// One stripe, read and verified. A transfer that fails, or bytes that are not the ones written, are worth one more attempt: a
// cable or a controller may have hiccuped. After that the streamer stops.
#include "common/log.h"
#include "offload/streamer_internal.h"

// Sets *fresh if this was the stripe's first verification.
static ft_status verify(ft_store *store, const ft_stripe *stripe, const void *data, bool *fresh)
{
    uint8_t *verified = &store->verified[stripe - store->stripe];
    if (__atomic_load_n(verified, __ATOMIC_RELAXED)) return FT_OK;
    FT_TRY(ft_store_check(store, stripe, data));
    __atomic_store_n(verified, 1, __ATOMIC_RELAXED);
    *fresh = true;
    return FT_OK;
}

static void submit(ft_stripe_read *read)
{
    ft_drive_submit(read->streamer->store->drive[read->stripe->drive], &read->request);
}

static void finish(ft_stripe_read *read, ft_status status, bool fresh)
{
    ft_streamer *s = read->streamer;
    pthread_mutex_lock(&s->lock);
    if (status != FT_OK) ft_stream_fail(s, status);
    else s->stats.bytes_nvme_read += read->stripe->bytes;
    s->stats.stripes_verified += fresh;
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
    bool fresh = false;
    ft_status status = request->status == FT_OK ? verify(read->streamer->store, read->stripe, request->buffer, &fresh)
                                                : ft_error_adopt(request->status, request->message);
    if (status == FT_OK || read->again) {
        finish(read, status, fresh);
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
