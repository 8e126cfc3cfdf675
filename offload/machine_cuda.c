// What a GPU does, measured in well under a second: one bf16 product of a transformer's size, a copy inside the device, one in
// each direction over the link. Attention and FP8 products follow from the bf16 rate by the ratios measured once on an H100
// (cuDNN 9.19: forward 0.78 and backward 0.60 of the GEMM rate; block-scaled E4M3 products 1.5 of it).
#include <sys/mman.h>

#include "kernels/ops.h"
#include "offload/machine_internal.h"

enum { ROWS = 4096, COLS = 4096, REPEAT = 8 };
#define COPY_BYTES ((int64_t)256 << 20)

typedef struct {
    ft_device *device;
    ft_queue *queue;
    ft_event *begin, *end;
    char *memory, *host;
    ft_linear_group group;
    int64_t workspace_bytes;
} probe;

static ft_status product(probe *p)
{
    char *x = p->memory, *w = x + ROWS * COLS * 2, *y = w + COLS * COLS * 2, *workspace = y + ROWS * COLS * 2;
    const ft_view in = {.data = x, .repr = FT_REPR_BF16, .rows = ROWS, .cols = COLS, .ld = COLS}, none = {0};
    ft_view out = in;
    out.data = y;
    p->group = (ft_linear_group){.n_parts = 1, .out = {COLS}, .n_weights = 1};
    p->group.weight[0] = (ft_weight){.data = w, .repr = FT_REPR_BF16, .rows = COLS, .cols = COLS, .ld = COLS};
    return ft_ops_for(FT_DEVICE_CUDA)->linear_forward(p->queue, &p->group, out, in, none, none, workspace, p->workspace_bytes);
}

static ft_status copy_inside(probe *p) { return ft_copy_d2d(p->queue, p->memory, p->memory + COPY_BYTES, COPY_BYTES); }
static ft_status copy_in(probe *p) { return ft_copy_h2d(p->queue, p->memory, p->host, COPY_BYTES); }
static ft_status copy_out(probe *p) { return ft_copy_d2h(p->queue, p->host, p->memory, COPY_BYTES); }

// Seconds of one run, the first ones not counted.
static ft_status measure(probe *p, ft_status (*run)(probe *), double *seconds)
{
    FT_TRY(run(p));
    FT_TRY(run(p));
    FT_TRY(ft_event_record(p->begin, p->queue));
    for (int i = 0; i < REPEAT; i++) FT_TRY(run(p));
    FT_TRY(ft_event_record(p->end, p->queue));
    FT_TRY(ft_queue_sync(p->queue));
    FT_TRY(ft_event_elapsed(p->begin, p->end, seconds));
    *seconds /= REPEAT;
    return FT_OK;
}

// Random bf16 values near 1, the same in every block: a product of zeros runs faster than a real one.
static void fill(uint16_t *values, int64_t n)
{
    uint32_t state = 12345;
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (uint16_t)(0x3F00u | (state >> 16 & 0x80FFu));
    }
}

static ft_status run_all(probe *p, ft_machine *machine)
{
    double seconds;
    const ft_ops_options none = {0};
    FT_TRY(ft_ops_for(FT_DEVICE_CUDA)->open(p->queue, &none));
    fill((uint16_t *)(void *)p->host, COPY_BYTES / 2);
    FT_TRY(ft_copy_h2d(p->queue, p->memory, p->host, COPY_BYTES));
    FT_TRY(measure(p, product, &seconds));
    machine->gemm_bf16 = 2.0 * ROWS * COLS * COLS / seconds;
    machine->gemm_fp8 = 1.5 * machine->gemm_bf16;
    machine->attention_forward = 0.78 * machine->gemm_bf16;
    machine->attention_backward = 0.60 * machine->gemm_bf16;
    FT_TRY(measure(p, copy_inside, &seconds));
    machine->hbm = 2.0 * (double)COPY_BYTES / seconds;
    FT_TRY(measure(p, copy_in, &seconds));
    machine->h2d = (double)COPY_BYTES / seconds;
    FT_TRY(measure(p, copy_out, &seconds));
    machine->d2h = (double)COPY_BYTES / seconds;
    machine->dram = 4 * machine->h2d;
    return FT_OK;
}

static ft_status open_probe(probe *p)
{
    const ft_op_shape shape = {.rows = ROWS, .in = COLS, .out = COLS};
    p->workspace_bytes = ft_op_workspace(FT_OP_LINEAR_FORWARD, &shape, FT_DEVICE_CUDA);
    void *memory;
    FT_TRY(ft_queue_create(p->device, FT_QUEUE_COMPUTE, "probe", &p->queue));
    FT_TRY(ft_event_create(p->device, &p->begin));
    FT_TRY(ft_event_create(p->device, &p->end));
    FT_TRY(ft_device_alloc(p->device, 2 * COPY_BYTES + p->workspace_bytes, &memory));
    p->memory = memory;
    p->host = mmap(NULL, (size_t)COPY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->host == MAP_FAILED) {
        p->host = NULL;
        return ft_error(FT_E_NOMEM, "no host memory for the device probe");
    }
    return ft_device_register_host(p->device, p->host, COPY_BYTES);
}

static void close_probe(probe *p)
{
    if (p->queue) ft_queue_sync(p->queue);
    if (p->host) ft_device_unregister_host(p->device, p->host);
    if (p->host) munmap(p->host, (size_t)COPY_BYTES);
    if (p->memory) ft_device_free(p->device, p->memory);
    if (p->begin) ft_event_destroy(p->begin);
    if (p->end) ft_event_destroy(p->end);
    if (p->queue) ft_queue_destroy(p->queue);
}

ft_status ft_machine_probe_cuda(ft_machine *machine, ft_device *device)
{
    probe p = {.device = device};
    ft_status status = open_probe(&p);
    if (status == FT_OK) status = run_all(&p, machine);
    close_probe(&p);
    return status;
}
