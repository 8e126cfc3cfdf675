// How fast the skinny products of LoRA (kernels/cuda/lora.h) pass over their big operand. They are kernels of their own only for
// that: each should take as long as one read of it.
#include "gpu/gpu.h"

#include <stdio.h>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/lora.h"

typedef struct {
    int n_parts;
    int64_t in, out[FT_LINEAR_PARTS], r[FT_LINEAR_PARTS];
    int64_t rows;
    float p;
} lora_shape;

// Calls take turns between two of the big operands, so that one does not find the other's bytes in the L2 cache, and are timed
// some at a time, queued ahead as in a step: what the host takes to launch does not count.
enum { OPERANDS = 2, CALLS = 8 };

typedef struct {
    ft_linear_group group;
    ft_view x[OPERANDS], dy[OPERANDS], low_rank;
    void *workspace;
    int64_t workspace_bytes;
} big;

static void must(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

// Small positive numbers: no NaN, and something to switch.
static void *filled(int64_t bytes)
{
    void *data = t_device(bytes);
    must(ft_fill(t_queue(), data, 0x3C, bytes));
    return data;
}

static ft_view filled_view(int64_t rows, int64_t cols, int64_t ld)
{
    return (ft_view){.data = filled(rows * ld * 2), .repr = FT_REPR_BF16, .rows = rows, .cols = cols, .ld = ld};
}

static void make_big(big *b, const lora_shape *c)
{
    *b = (big){.group = {.n_parts = c->n_parts, .dropout = {.p = c->p, .seed = 1}}};
    ft_op_shape shape = {.rows = c->rows, .in = c->in, .parts = c->n_parts, .dropout = c->p > 0};
    for (int p = 0; p < c->n_parts; p++) {
        shape.out += b->group.out[p] = c->out[p];
        shape.rank += c->r[p];
        b->group.lora[p] = (ft_lora){.da = filled(c->r[p] * c->in * 4), .db = filled(c->r[p] * c->out[p] * 4), .r = c->r[p], .scale = 1};
    }
    int64_t fold = b->group.fold = FT_FOLD(shape.rank);
    b->group.fold_a = filled(fold * c->in * 2), b->group.fold_a_ld = c->in;
    b->group.fold_b = filled(shape.out * fold * 2), b->group.fold_b_ld = fold;
    for (int i = 0; i < OPERANDS; i++)
        b->x[i] = filled_view(c->rows, c->in, c->in + fold), b->dy[i] = filled_view(c->rows, shape.out, shape.out + fold);
    b->low_rank = filled_view(c->rows, fold, fold);
    b->workspace_bytes = ft_cuda_lora_workspace(&shape);
    b->workspace = t_device(b->workspace_bytes);
}

static ft_view fold_of(const big *b, ft_view view) { return ft_view_tail(view, b->group.fold); }

static void run_down(void *context)
{
    const big *b = context;
    for (int i = 0; i < CALLS; i++)
        must(ft_cuda_lora_down(t_queue(), &b->group, b->x[i % OPERANDS], b->low_rank, b->workspace, b->workspace_bytes));
}

static void run_up(void *context)
{
    const big *b = context;
    for (int i = 0; i < CALLS; i++) {
        ft_view dy = b->dy[i % OPERANDS];
        must(ft_cuda_lora_up_backward(t_queue(), &b->group, dy, b->low_rank, fold_of(b, dy), b->workspace, b->workspace_bytes));
    }
}

static void run_a(void *context)
{
    const big *b = context;
    for (int i = 0; i < CALLS; i++)
        must(ft_cuda_lora_backward_a(t_queue(), &b->group, b->x[i % OPERANDS], fold_of(b, b->dy[0]), b->workspace, b->workspace_bytes));
}

static void run_dx(void *context)
{
    const big *b = context;
    for (int i = 0; i < CALLS; i++) must(ft_cuda_lora_dropout_dx(t_queue(), &b->group, b->x[i % OPERANDS], fold_of(b, b->dy[0])));
}

static double bytes_of(ft_view view) { return (double)(view.rows * view.cols) * 2; }

// Prints the rate at which `view` is passed over, and returns the seconds. Where it is much larger than the L2 cache, `least` is
// required.
static double time_pass(const char *name, void (*run)(void *), big *b, ft_view view, int passes, double least)
{
    double bytes = bytes_of(view) * passes, seconds = t_time(run, b, 9) / CALLS;
    printf("  %-12s [%lld, %lld] %8.1f us %8.0f GB/s\n", name, (long long)view.rows, (long long)view.cols, seconds * 1e6, bytes / seconds * 1e-9);
    if (bytes > 300e6 && bytes / seconds < least) fail_msg("%s is slower than %.1f GB/s", name, least * 1e-9);
    return seconds;
}

static bool is_h100(void)
{
    const ft_device_info *info = ft_device_get_info(ft_queue_device(t_queue()));
    return info->compute_capability == 90 && info->sm_count >= 132;
}

// The four groups of a layer of an 8B model (hidden 4096, ffn 14336, kv 1024) beside the read of their operands at the rate of a
// copy.
static void a_layers_calls_are_bounded_by_the_reads(void **state)
{
    static const struct {
        const char *name;
        lora_shape shape;
    } groups[] = {
        {"qkv", {3, 4096, {4096, 1024, 1024}, {16, 16, 16}, 8192, 0}},
        {"o", {1, 4096, {4096}, {16}, 8192, 0}},
        {"gate_up", {2, 4096, {14336, 14336}, {16, 16}, 8192, 0}},
        {"down", {1, 14336, {4096}, {16}, 8192, 0}},
    };
    const double rate = 3.0e12;
    double seconds = 0, floor = 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        big b;
        make_big(&b, &groups[i].shape);
        double x = bytes_of(b.x[0]) / rate, dy = bytes_of(b.dy[0]) / rate;
        printf("%s: reads at 3.0 TB/s take %.1f us (down, backward_a), %.1f us (up_backward)\n", groups[i].name, x * 1e6, dy * 1e6);
        seconds += time_pass("down", run_down, &b, b.x[0], 1, 0);
        seconds += time_pass("up_backward", run_up, &b, b.dy[0], 1, 0);
        seconds += time_pass("backward_a", run_a, &b, b.x[0], 1, 0);
        floor += 2 * x + dy;
        t_free();
    }
    printf("layer: %.1f us in 12 calls, reads alone %.1f us, ratio %.3f\n", seconds * 1e6, floor * 1e6, seconds / floor);
    if (is_h100() && seconds > 1.5 * floor) fail_msg("a layer's calls take %.2f times their reads", seconds / floor);
}

static void the_big_operand_is_read_at_memory_speed(void **state)
{
    static const lora_shape shapes[] = {
        {1, 4096, {4096}, {16}, 8192, 0},
        {3, 4096, {4096, 1024, 1024}, {16, 16, 16}, 8192, 0},
        {2, 8192, {28672, 28672}, {16, 16}, 8192, 0},
        {1, 28672, {8192}, {16}, 8192, 0},
        {1, 28672, {8192}, {16}, 8192, 0.1f},
        {1, 8192, {28672}, {64}, 8192, 0},
        {3, 16384, {16384, 2048, 2048}, {16, 16, 16}, 4096, 0},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const lora_shape *c = &shapes[i];
        double least = is_h100() && c->p <= 0 && c->r[0] <= 16 ? 1.5e12 : 0;
        big b;
        make_big(&b, c);
        printf("parts %d r %lld p %.1f, workspace %.1f MB\n", c->n_parts, (long long)c->r[0], (double)c->p, (double)b.workspace_bytes * 1e-6);
        time_pass("down", run_down, &b, b.x[0], 1, least);
        time_pass("up_backward", run_up, &b, b.dy[0], 1, least);
        time_pass("backward_a", run_a, &b, b.x[0], 1, least);
        if (c->p > 0) time_pass("dropout_dx", run_dx, &b, b.x[0], 2, least);
        t_free();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layers_calls_are_bounded_by_the_reads),
        cmocka_unit_test(the_big_operand_is_read_at_memory_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
