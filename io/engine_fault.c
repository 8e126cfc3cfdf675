// The fault engine: takes a request, asks the plan what happens to it, and either answers it at once (an error that the device
// gave without moving data) or hands a bent form of it to the inner engine and mends or spoils the answer.
//
// While the inner engine has a request, its `user` points to an entry that keeps the caller's values. Finished requests that
// are to be late stay in their entry ("held") until enough later ones have finished or nothing else could finish.
#include "io/fault.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "io/engine_rows.h"
#include "io/fault_plan.h"
#include "io/request_queue.h"

#define SLOW_NS 5000000

typedef struct {
    ft_io_request *request;  // NULL = free entry
    void *user;              // the caller's values of what is bent
    uint32_t bytes;
    int64_t offset;
    ft_fault_kind kind;
    uint32_t random;
    int64_t number;          // order of submission
    int overtaken;           // later requests that have finished
    bool held;
} fault_entry;

typedef struct {
    ft_io_engine base;
    ft_io_engine *inner;
    ft_fault_plan plan;
    fault_entry *entries;
    int depth;
    bool spared;             // none of its requests meets a fault
    int running;             // requests the inner engine has
    int64_t submitted;
    ft_request_queue ready;  // finished, in the order the owner will see
} fault_engine;

static ft_status fault_register(ft_io_engine *engine, const struct iovec *buffers, int n)
{
    ft_io_engine *inner = ((fault_engine *)engine)->inner;
    return inner->row->register_buffers(inner, buffers, n);
}

// The answer of a device that moved nothing. False if the fault is of another sort.
static bool answer_at_once(ft_fault_kind kind, int32_t *result)
{
    switch (kind) {
    case FT_FAULT_EIO: *result = -EIO; return true;
    case FT_FAULT_ENOSPC: *result = -ENOSPC; return true;
    case FT_FAULT_EAGAIN: *result = -EAGAIN; return true;
    case FT_FAULT_EINTR: *result = -EINTR; return true;
    case FT_FAULT_ZERO: *result = 0; return true;
    default: return false;
    }
}

static void flip_bit(const fault_entry *entry, uint32_t bytes)
{
    ((char *)entry->request->buffer)[entry->random / 8 % bytes] ^= (char)(1 << entry->random % 8);
}

// What the inner engine is asked instead of what the caller asked.
static void bend(fault_entry *entry)
{
    ft_io_request *request = entry->request;
    if (entry->kind == FT_FAULT_SHORT) {
        uint32_t half = request->bytes / 2 / FT_IO_ALIGN * FT_IO_ALIGN;
        request->bytes = half > 0 ? half : FT_IO_ALIGN;
    } else if (entry->kind == FT_FAULT_MISPLACE) {
        request->offset += request->offset >= FT_IO_ALIGN ? -FT_IO_ALIGN : FT_IO_ALIGN;
    } else if (entry->kind == FT_FAULT_FLIP && request->op == FT_IO_WRITE) {
        flip_bit(entry, request->bytes);
    }
    request->user = entry;
}

// Gives the request its own values back; a flipped write flips back, a flipped read flips now.
static void mend(fault_entry *entry)
{
    ft_io_request *request = entry->request;
    if (entry->kind == FT_FAULT_FLIP) {
        if (request->op == FT_IO_WRITE) flip_bit(entry, entry->bytes);
        else if (request->result > 0) flip_bit(entry, (uint32_t)request->result);
    }
    request->user = entry->user;
    request->bytes = entry->bytes;
    request->offset = entry->offset;
}

static void deliver(fault_engine *fault, fault_entry *entry)
{
    ft_request_queue_push(&fault->ready, entry->request);
    *entry = (fault_entry){0};
}

static int overtakers_needed(ft_fault_kind kind)
{
    return kind == FT_FAULT_LATE ? 2 : kind == FT_FAULT_REORDER ? 1 : 0;
}

static void release_overtaken(fault_engine *fault)
{
    for (int i = 0; i < fault->depth; i++) {
        fault_entry *entry = &fault->entries[i];
        if (entry->held && entry->overtaken >= overtakers_needed(entry->kind)) deliver(fault, entry);
    }
}

static void release_oldest(fault_engine *fault)
{
    fault_entry *oldest = NULL;
    for (int i = 0; i < fault->depth; i++) {
        fault_entry *entry = &fault->entries[i];
        if (entry->held && (oldest == NULL || entry->number < oldest->number)) oldest = entry;
    }
    if (oldest != NULL) deliver(fault, oldest);
}

static void finish(fault_engine *fault, fault_entry *entry)
{
    mend(entry);
    for (int i = 0; i < fault->depth; i++) {
        fault_entry *other = &fault->entries[i];
        if (other->request != NULL && other->number < entry->number) other->overtaken++;
    }
    if (entry->overtaken < overtakers_needed(entry->kind)) entry->held = true;
    else deliver(fault, entry);
    release_overtaken(fault);
}

static fault_entry *take_entry(fault_engine *fault, ft_io_request *request)
{
    int i = 0;
    while (i < fault->depth && fault->entries[i].request != NULL) i++;
    FT_ASSERT(i < fault->depth, "more than %d requests in flight", fault->depth);
    fault->entries[i] = (fault_entry){.request = request, .user = request->user, .bytes = request->bytes,
                                      .offset = request->offset, .number = fault->submitted++};
    return &fault->entries[i];
}

static ft_status fault_submit(ft_io_engine *engine, ft_io_request *const *requests, int n)
{
    fault_engine *fault = (fault_engine *)engine;
    for (int i = 0; i < n; i++) {
        fault_entry *entry = take_entry(fault, requests[i]);
        if (!fault->spared) entry->kind = ft_fault_plan_next(&fault->plan, requests[i], &entry->random);
        if (entry->kind == FT_FAULT_BROKEN) return ft_error(FT_E_IO, "fault engine: broken as asked");
        if (answer_at_once(entry->kind, &requests[i]->result)) {
            finish(fault, entry);
            continue;
        }
        if (entry->kind == FT_FAULT_SLOW) nanosleep(&(struct timespec){.tv_nsec = SLOW_NS}, NULL);
        bend(entry);
        fault->running++;
        FT_TRY(fault->inner->row->submit(fault->inner, &requests[i], 1));
    }
    return FT_OK;
}

// Takes what the inner engine has finished. Returns their number or a negative status.
static int collect(fault_engine *fault, bool wait)
{
    ft_io_request *done[32];
    int n = fault->inner->row->reap(fault->inner, done, 32, wait);
    for (int i = 0; i < n; i++) finish(fault, done[i]->user);
    if (n > 0) fault->running -= n;
    return n;
}

static int fault_reap(ft_io_engine *engine, ft_io_request **done, int max, bool wait)
{
    fault_engine *fault = (fault_engine *)engine;
    int got;
    do {
        got = collect(fault, wait && fault->ready.count == 0);
        if (got < 0) return got;
        if (fault->running == 0 && fault->ready.count == 0) release_oldest(fault);
    } while (wait && got > 0 && fault->ready.count == 0);
    return ft_request_queue_drain(&fault->ready, done, max);
}

static void fault_wake(ft_io_engine *engine)
{
    ft_io_engine *inner = ((fault_engine *)engine)->inner;
    inner->row->wake(inner);
}

// Takes back what the inner engine has, so that every request is its caller's again.
static void fault_close(ft_io_engine *engine)
{
    fault_engine *fault = (fault_engine *)engine;
    while (fault->running > 0 && collect(fault, true) >= 0) continue;
    if (fault->inner != NULL) fault->inner->row->close(fault->inner);
    ft_request_queue_free(&fault->ready);
    ft_free(fault->entries);
    ft_free(fault);
}

static ft_status fault_open(ft_io_engine **engine, const ft_io_options *options)
{
    fault_engine *fault = FT_NEW(fault_engine);
    FT_ALLOC_CHECK(fault);
    fault->depth = options->depth;
    ft_status status;
    FT_TRY_GOTO(status, fail, ft_fault_plan_parse(&fault->plan, options->spec != NULL ? options->spec : ""));
    fault->spared = fault->plan.in[0] && (options->directory == NULL || strstr(options->directory, fault->plan.in) == NULL);
    FT_TRY_GOTO(status, fail, ft_request_queue_init(&fault->ready, options->depth));
    fault->entries = FT_NEW_ARRAY(fault_entry, options->depth);
    status = fault->entries == NULL ? FT_E_NOMEM : FT_OK;
    if (status != FT_OK) goto fail;
    FT_TRY_GOTO(status, fail, ft_io_engine_open(&fault->inner, fault->plan.inner, &(ft_io_options){.depth = options->depth}));
    fault->base = (ft_io_engine){&ft_io_fault_row, fault->inner->caps};
    *engine = &fault->base;
    return FT_OK;
fail:
    fault_close(&fault->base);
    return status;
}

const ft_io_engine_row ft_io_fault_row = {
    .name = "fault",
    .help = "wraps another engine and injects disk faults, as in fault:io_uring,short=0.1,seed=7 (for tests)",
    .caps = FT_IO_CAP_SPEC,
    .open = fault_open,
    .register_buffers = fault_register,
    .submit = fault_submit,
    .reap = fault_reap,
    .wake = fault_wake,
    .close = fault_close,
};
