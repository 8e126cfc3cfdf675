#include "io/fault_plan.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

static const char *const kind_names[FT_FAULT_KINDS] = {
    [FT_FAULT_NONE] = "none",       [FT_FAULT_EIO] = "eio",           [FT_FAULT_ENOSPC] = "enospc", [FT_FAULT_SHORT] = "short",
    [FT_FAULT_ZERO] = "zero",       [FT_FAULT_EAGAIN] = "eagain",     [FT_FAULT_EINTR] = "eintr",   [FT_FAULT_LATE] = "late",
    [FT_FAULT_REORDER] = "reorder", [FT_FAULT_MISPLACE] = "misplace", [FT_FAULT_FLIP] = "flip",     [FT_FAULT_BROKEN] = "broken",
    [FT_FAULT_SLOW] = "slow",
};

// The script, shared by all fault engines of the process.
static pthread_mutex_t script_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int64_t requests;     // seen since ft_fault_clear
    ft_fault_kind kind;
    int64_t first, last;  // request numbers that meet it, counted as `requests` is
} script;

void ft_fault_set(ft_fault_kind kind, int64_t nth, int64_t repeat)
{
    FT_ASSERT(nth >= 1 && repeat >= 1);
    pthread_mutex_lock(&script_lock);
    script.kind = kind;
    script.first = script.requests + nth;
    script.last = script.first + repeat - 1;
    pthread_mutex_unlock(&script_lock);
}

void ft_fault_clear(void)
{
    pthread_mutex_lock(&script_lock);
    memset(&script, 0, sizeof script);
    pthread_mutex_unlock(&script_lock);
}

int64_t ft_fault_requests(void)
{
    pthread_mutex_lock(&script_lock);
    int64_t requests = script.requests;
    pthread_mutex_unlock(&script_lock);
    return requests;
}

static ft_fault_kind scripted(void)
{
    pthread_mutex_lock(&script_lock);
    int64_t number = ++script.requests;
    ft_fault_kind kind = number >= script.first && number <= script.last ? script.kind : FT_FAULT_NONE;
    pthread_mutex_unlock(&script_lock);
    return kind;
}

static ft_fault_kind drawn(const ft_fault_plan *plan, uint32_t word)
{
    double point = ft_rng_uniform(word), edge = 0;
    for (int kind = 0; kind < FT_FAULT_KINDS; kind++) {
        edge += plan->probability[kind];
        if (point < edge) return (ft_fault_kind)kind;
    }
    return FT_FAULT_NONE;
}

static bool applies(ft_fault_kind kind, const ft_io_request *request)
{
    bool moves_data = request->op != FT_IO_FSYNC;
    switch (kind) {
    case FT_FAULT_ENOSPC: return request->op == FT_IO_WRITE;
    case FT_FAULT_SHORT: return moves_data && request->bytes > FT_IO_ALIGN;
    case FT_FAULT_ZERO:
    case FT_FAULT_FLIP:
    case FT_FAULT_MISPLACE: return moves_data;
    default: return true;
    }
}

ft_fault_kind ft_fault_plan_next(ft_fault_plan *plan, const ft_io_request *request, uint32_t *random)
{
    uint64_t number = plan->drawn++;
    ft_rng_block block = ft_rng(plan->seed, FT_RNG_DATA, (uint32_t)number, (uint32_t)(number >> 32), 0, 0);
    *random = block.word[1];
    ft_fault_kind kind = scripted();
    if (kind == FT_FAULT_NONE) kind = drawn(plan, block.word[0]);
    return applies(kind, request) ? kind : FT_FAULT_NONE;
}

static int kind_of(const char *name, size_t length)
{
    for (int kind = FT_FAULT_NONE + 1; kind < FT_FAULT_KINDS; kind++) {
        if (strlen(kind_names[kind]) == length && memcmp(kind_names[kind], name, length) == 0) return kind;
    }
    return FT_FAULT_NONE;
}

// One "key=value" of `length` characters.
static ft_status parse_setting(ft_fault_plan *plan, const char *text, size_t length)
{
    char *end;
    size_t key = strcspn(text, "=");
    if (key >= length) return ft_error(FT_E_USAGE, "io-engine fault: \"%.*s\" is not KEY=VALUE", (int)length, text);
    const char *value = text + key + 1;
    if (key == 4 && memcmp(text, "seed", 4) == 0) {
        plan->seed = strtoull(value, &end, 10);
        if (end != text + length || end == value) return ft_error(FT_E_USAGE, "io-engine fault: seed must be a number");
        return FT_OK;
    }
    if (key == 2 && memcmp(text, "in", 2) == 0) {
        size_t n = length - key - 1;
        if (n == 0 || n >= sizeof plan->in) return ft_error(FT_E_USAGE, "io-engine fault: in=TEXT takes 1 to %zu characters", sizeof plan->in - 1);
        memcpy(plan->in, value, n);
        return FT_OK;
    }
    int kind = kind_of(text, key);
    if (kind == FT_FAULT_NONE)
        return ft_error(FT_E_USAGE, "io-engine fault: no fault is called \"%.*s\" (io/fault.h lists them)", (int)key, text);
    double p = strtod(value, &end);
    if (end != text + length || end == value || !(p >= 0 && p <= 1))
        return ft_error(FT_E_USAGE, "io-engine fault: %s must be a probability from 0 to 1", kind_names[kind]);
    plan->probability[kind] = p;
    return FT_OK;
}

ft_status ft_fault_plan_parse(ft_fault_plan *plan, const char *spec)
{
    *plan = (ft_fault_plan){.seed = 1};
    size_t length = strcspn(spec, ",");
    if (length == 0 || length >= sizeof plan->inner)
        return ft_error(FT_E_USAGE, "io-engine fault: name the engine it wraps, as in fault:io_uring,eio=0.01");
    memcpy(plan->inner, spec, length);
    for (const char *text = spec + length; *text == ',';) {
        text++;
        length = strcspn(text, ",");
        FT_TRY(parse_setting(plan, text, length));
        text += length;
    }
    double sum = 0;
    for (int kind = 0; kind < FT_FAULT_KINDS; kind++) sum += plan->probability[kind];
    if (sum > 1 + 1e-9) return ft_error(FT_E_USAGE, "io-engine fault: the probabilities add up to %g, above 1", sum);
    return FT_OK;
}
