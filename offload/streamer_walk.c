// The loop both walkers run: visit after visit of the announcement, idle between announcements, after a failure, and while a
// cancel is going on.
#include <signal.h>
#include <stdio.h>

#include "offload/streamer_internal.h"

void ft_stream_wake_all(ft_streamer *s)
{
    pthread_cond_broadcast(&s->reader.wake);
    pthread_cond_broadcast(&s->feeder.wake);
    pthread_cond_broadcast(&s->caller_wake);
    if (s->spill != NULL) ft_spill_wake(s->spill);
}

void ft_stream_fail(ft_streamer *s, ft_status status)
{
    if (s->status == FT_OK) {
        s->status = status;
        snprintf(s->message, sizeof s->message, "%s", ft_error_message());
    }
    ft_stream_wake_all(s);
}

ft_status ft_stream_error(ft_streamer *s)
{
    return s->status == FT_OK ? FT_OK : ft_error_adopt(s->status, s->message);
}

void ft_stream_request_ended(ft_streamer *s)
{
    if (--s->requests == 0) pthread_cond_broadcast(&s->caller_wake);
}

static bool may_walk(const ft_walker *walker)
{
    return walker->at < walker->streamer->total && !ft_stream_halted(walker->streamer);
}

static void *walk(void *argument)
{
    ft_walker *walker = argument;
    ft_streamer *s = walker->streamer;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (!may_walk(walker)) {
            walker->idle = true;
            pthread_cond_broadcast(&s->caller_wake);
            pthread_cond_wait(&walker->wake, &s->lock);
            continue;
        }
        int64_t number = walker->at;
        pthread_mutex_unlock(&s->lock);
        ft_status status = walker->visit(s, number, ft_schedule_visit(s, number));
        pthread_mutex_lock(&s->lock);
        if (status == FT_OK) walker->at++;
        else if (status != FT_E_STOPPED) ft_stream_fail(s, status);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

// Signals stay with the threads of the program.
ft_status ft_stream_thread(pthread_t *thread, const char *name, void *(*function)(void *), void *argument)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(thread, NULL, function, argument);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error != 0) return ft_error_errno(FT_E_NOMEM, error, "streamer: the thread %s could not be started", name);
    pthread_setname_np(*thread, name);
    return FT_OK;
}

ft_status ft_walker_start(ft_walker *walker, ft_streamer *streamer, const char *name,
                          ft_status (*visit)(ft_streamer *streamer, int64_t number, const ft_visit *visit))
{
    walker->streamer = streamer;
    walker->visit = visit;
    walker->idle = true;
    FT_TRY(ft_stream_thread(&walker->thread, name, walk, walker));
    walker->started = true;
    return FT_OK;
}

void ft_walker_join(ft_walker *walker)
{
    if (walker->started) pthread_join(walker->thread, NULL);
    walker->started = false;
}
