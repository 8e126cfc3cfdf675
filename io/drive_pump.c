#include "io/drive_pump.h"

#include <stdio.h>

#include "common/log.h"
#include "common/memory.h"

static void end(ft_drive_pump *p)
{
    pthread_mutex_lock(&p->lock);
    p->ended_s = ft_now_s();
    p->done = true;
    pthread_cond_signal(&p->idle);
    pthread_mutex_unlock(&p->lock);
}

static void cut_next(ft_drive_pump *p, ft_drive_request *request)
{
    int64_t rest = p->end - p->next;
    request->offset = p->next;
    request->bytes = rest < p->piece ? rest : p->piece;
    p->next += request->bytes;
}

// On the drive's thread.
static void piece_ended(ft_drive_request *request)
{
    ft_drive_pump *p = request->user;
    if (request->status != FT_OK && p->status == FT_OK) {
        p->status = request->status;
        snprintf(p->message, sizeof p->message, "%s", request->message);
    }
    if (p->status == FT_OK && p->next < p->end) {
        cut_next(p, request);
        ft_drive_submit(p->drive, request);
    } else if (--p->pending == 0) {
        end(p);
    }
}

// The first requests are cut before any is submitted: from then on the drive's thread does that.
void ft_drive_pump_begin(ft_drive_pump *p)
{
    FT_ASSERT(p->requests >= 1 && p->requests <= FT_PUMP_REQUESTS && p->begin < p->end, "%d requests", p->requests);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->next = p->begin;
    p->done = false;
    p->status = FT_OK;
    int n = 0;
    for (; n < p->requests && p->next < p->end; n++) {
        p->request[n] = (ft_drive_request){.op = p->op, .file = p->file, .buffer = p->buffer + n * p->piece, .complete = piece_ended, .user = p};
        cut_next(p, &p->request[n]);
    }
    p->pending = n;
    p->begun_s = ft_now_s();
    for (int i = 0; i < n; i++) ft_drive_submit(p->drive, &p->request[i]);
}

ft_status ft_drive_pump_wait(ft_drive_pump *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->done) pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    return p->status == FT_OK ? FT_OK : ft_error_adopt(p->status, p->message);
}
