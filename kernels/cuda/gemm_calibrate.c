// Times cuBLASLt's candidates for a product. Operands are random (a GEMM on zeros draws less power and runs faster) and rotate
// through enough copies that none is found in the L2 cache, as in a step, where other work lies between two uses of a weight.
//
// A training step holds a GPU at its power limit, where clocks fall (an H100 from 1.98 to about 1.4 GHz) and the algorithm that
// takes the least energy is the fastest. So candidates are tried briefly first, and those near the best again in long rounds
// after the chip was made hot.
#include <string.h>

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm_state.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/workspace.h"

#define PATTERN_BYTES ((int64_t)4 << 20)
#define ROTATION_BYTES ((int64_t)256 << 20)  // several times the L2 of any device
enum { MAX_SETS = 16, MAX_CANDIDATES = 32, HOT_ROUNDS = 3, WARM_UP = 2, MIN_RUNS = 4, MAX_RUNS = 2000 };
static const double brief_s = 0.006, hot_s = 0.040, heat_s = 0.200;
static const double near = 1.10;  // times the best of the brief round

// Bytes of one set of operands, each rounded for the arena.
typedef struct {
    int64_t a, b, c, d, a_scales, b_scales;
} sizes;

typedef struct {
    void *a, *b, *c, *d;
    float *a_scales, *b_scales;
} operands;

typedef struct {
    ft_queue *queue;
    ft_blaslt *blas;
    ft_gemm_plan plan;
    void *workspace;
    operands set[MAX_SETS];
    int n_sets;
    cudaEvent_t begin, end;
} bench;

static int64_t piece(int64_t bytes)
{
    return (int64_t)ft_arena_round((size_t)bytes);
}

// C is D where their rows are alike, as in a sum in place.
static bool has_own_c(const ft_cuda_gemm_key *key)
{
    return key->adds && key->ldc != key->ldd;
}

static sizes sizes_of(const ft_cuda_gemm_key *key)
{
    int64_t in = key->kind == FT_GEMM_BF16 ? 2 : 1, out = key->d_f32 ? 4 : 2;
    sizes s = {.a = piece((key->a_transposed ? key->k : key->m) * key->lda * in),
               .b = piece((key->b_transposed ? key->n : key->k) * key->ldb * in),
               .d = piece(key->m * key->ldd * out)};
    if (has_own_c(key)) s.c = piece(key->m * key->ldc * out);
    if (key->kind == FT_GEMM_BF16) return s;
    s.a_scales = piece((key->k + FT_TILE - 1) / FT_TILE * key->m * 4);
    int64_t tiles = (key->n + FT_TILE - 1) / FT_TILE * ft_scale_stride(key->k);
    s.b_scales = piece((tiles > key->n ? tiles : key->n) * 4);
    return s;
}

static int64_t set_bytes(const ft_cuda_gemm_key *key)
{
    sizes s = sizes_of(key);
    return s.a + s.b + s.c + s.d + s.a_scales + s.b_scales;
}

int64_t ft_cuda_gemm_scratch(const ft_cuda_gemm_key *key)
{
    int64_t one = set_bytes(key), sets = (ROTATION_BYTES + one - 1) / one;
    if (sets < 2) sets = 2;
    return FT_CUBLASLT_WORKSPACE + (sets > MAX_SETS ? MAX_SETS : sets) * one;
}

// --- Data --------------------------------------------------------------------------------------------------------------------
// Normal values as bf16 or E4M3. Pairs of bf16 values read as float32 are finite too, which serves as C and as scales.
static void make_pattern(void *pattern, bool e4m3)
{
    int64_t n = PATTERN_BYTES / (e4m3 ? 1 : 2);
    for (int64_t i = 0; i < n; i += 4) {
        ft_rng_block block = ft_rng(1, FT_RNG_DATA, 0, 0, (uint32_t)(i >> 32), (uint32_t)i);
        float value[4];
        ft_rng_normal(block.word[0], block.word[1], value);
        ft_rng_normal(block.word[2], block.word[3], value + 2);
        for (int j = 0; j < 4; j++) {
            if (e4m3) ((ft_e4m3 *)pattern)[i + j] = ft_f32_to_e4m3(64 * value[j]);
            else ((ft_bf16 *)pattern)[i + j] = ft_f32_to_bf16(value[j]);
        }
    }
}

// The pattern once from the host, then doubled on the device.
static ft_status spread(ft_queue *queue, void *data, int64_t bytes, const void *pattern)
{
    int64_t done = bytes < PATTERN_BYTES ? bytes : PATTERN_BYTES;
    if (bytes == 0) return FT_OK;
    FT_TRY(ft_copy_h2d(queue, data, pattern, done));
    while (done < bytes) {
        int64_t next = done < bytes - done ? done : bytes - done;
        FT_TRY(ft_copy_d2d(queue, (char *)data + done, data, next));
        done += next;
    }
    return FT_OK;
}

static ft_status fill_sets(bench *b, const void *bf16, const void *codes)
{
    sizes s = sizes_of(&b->plan.key);
    const void *in = b->plan.key.kind == FT_GEMM_BF16 ? bf16 : codes;
    for (int i = 0; i < b->n_sets; i++) {
        const operands *set = &b->set[i];
        FT_TRY(spread(b->queue, set->a, s.a, in));
        FT_TRY(spread(b->queue, set->b, s.b, in));
        FT_TRY(spread(b->queue, set->c, s.c, bf16));
        FT_TRY(spread(b->queue, set->d, s.d, bf16));
        FT_TRY(spread(b->queue, set->a_scales, s.a_scales, bf16));
        FT_TRY(spread(b->queue, set->b_scales, s.b_scales, bf16));
    }
    return ft_queue_sync(b->queue);
}

static ft_status fill(bench *b)
{
    void *bf16 = ft_malloc(PATTERN_BYTES), *codes = ft_malloc(PATTERN_BYTES);
    ft_status status = bf16 == NULL || codes == NULL ? FT_E_NOMEM : FT_OK;
    if (status == FT_OK) {
        make_pattern(bf16, false);
        make_pattern(codes, true);
        status = fill_sets(b, bf16, codes);
    }
    ft_free(bf16);
    ft_free(codes);
    return status;
}

static ft_status carve(bench *b, void *scratch, int64_t scratch_bytes)
{
    sizes s = sizes_of(&b->plan.key);
    ft_arena arena;
    ft_arena_init(&arena, "gemm calibration", scratch, (size_t)scratch_bytes);
    int64_t one = set_bytes(&b->plan.key), room = scratch_bytes - FT_CUBLASLT_WORKSPACE;
    if (room < one) return ft_error(FT_E_INPUT, "a product wants %lld bytes of scratch", (long long)(one + FT_CUBLASLT_WORKSPACE));
    b->workspace = ft_arena_take(&arena, FT_CUBLASLT_WORKSPACE);
    int64_t wanted = (ft_cuda_gemm_scratch(&b->plan.key) - FT_CUBLASLT_WORKSPACE) / one;
    for (b->n_sets = 0; b->n_sets < wanted && b->n_sets < room / one; b->n_sets++) {
        operands *set = &b->set[b->n_sets];
        set->a = ft_arena_take(&arena, (size_t)s.a);
        set->b = ft_arena_take(&arena, (size_t)s.b);
        set->c = s.c > 0 ? ft_arena_take(&arena, (size_t)s.c) : NULL;
        set->d = ft_arena_take(&arena, (size_t)s.d);
        if (set->c == NULL) set->c = set->d;
        set->a_scales = ft_arena_take(&arena, (size_t)s.a_scales);
        set->b_scales = ft_arena_take(&arena, (size_t)s.b_scales);
    }
    return FT_OK;
}

// --- Time --------------------------------------------------------------------------------------------------------------------
static ft_status run_once(bench *b, int turn)
{
    const operands *set = &b->set[turn % b->n_sets];
    if (b->plan.key.kind != FT_GEMM_BF16) FT_TRY(ft_gemm_plan_set_scales(b->blas, &b->plan, set->a_scales, set->b_scales));
    // Half of what there was, so that repeated sums stay finite.
    float beta = b->plan.key.adds ? 0.5f : 0;
    return ft_gemm_plan_run(b->blas, &b->plan, set->a, set->b, beta, set->c, set->d, b->workspace, ft_stream(b->queue));
}

static ft_status time_runs(bench *b, int runs, double *seconds)
{
    float milliseconds;
    FT_CUDA(cudaEventRecord(b->begin, ft_stream(b->queue)));
    for (int i = 0; i < runs; i++) FT_TRY(run_once(b, i));
    FT_CUDA(cudaEventRecord(b->end, ft_stream(b->queue)));
    FT_CUDA(cudaEventSynchronize(b->end));
    FT_CUDA(cudaEventElapsedTime(&milliseconds, b->begin, b->end));
    *seconds = 1e-3 * milliseconds / runs;
    return FT_OK;
}

// Seconds of one run, over about round_s of them.
static ft_status time_round(bench *b, double round_s, double *seconds)
{
    double estimate;
    FT_TRY(time_runs(b, WARM_UP, &estimate));
    double runs = round_s / (estimate > 1e-6 ? estimate : 1e-6);
    return time_runs(b, runs < MIN_RUNS ? MIN_RUNS : runs > MAX_RUNS ? MAX_RUNS : (int)runs, seconds);
}

// One brief round over all candidates. One that the library refuses when it is run keeps -1.
static ft_status time_briefly(bench *b, const cublasLtMatmulHeuristicResult_t *found, int n, double *seconds)
{
    for (int i = 0; i < n; i++) {
        b->plan.algorithm = found[i].algo;
        if (time_round(b, brief_s, &seconds[i]) != FT_OK) seconds[i] = -1;
    }
    return ft_queue_sync(b->queue);
}

static int fastest(const double *seconds, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (seconds[i] > 0 && (best < 0 || seconds[i] < seconds[best])) best = i;
    return best;
}

// Rounds go over all candidates that are left, so that a change of clocks falls on all; a candidate's time is its mean. The
// first choice stays in, for comparison.
static ft_status time_hot(bench *b, const cublasLtMatmulHeuristicResult_t *found, int n, double *seconds)
{
    double brief[MAX_CANDIDATES], unused;
    int best = fastest(seconds, n);
    if (best < 0) return FT_OK;
    memcpy(brief, seconds, (size_t)n * sizeof *brief);
    b->plan.algorithm = found[best].algo;
    FT_TRY(time_round(b, heat_s, &unused));
    for (int i = 0; i < n; i++) seconds[i] = brief[i] > 0 && (i == 0 || brief[i] <= near * brief[best]) ? 0 : -1;
    for (int round = 0; round < HOT_ROUNDS; round++) {
        for (int i = 0; i < n; i++) {
            double s;
            if (seconds[i] < 0) continue;
            b->plan.algorithm = found[i].algo;
            FT_TRY(time_round(b, hot_s, &s));
            seconds[i] += s / HOT_ROUNDS;
        }
    }
    return ft_queue_sync(b->queue);
}

static ft_status choose(const double *seconds, int n, ft_cuda_gemm_timing *timing)
{
    timing->candidates = 0;
    for (int i = 0; i < n; i++) timing->candidates += seconds[i] > 0;
    timing->best = fastest(seconds, n);
    if (timing->best < 0) return ft_error_prefix(FT_E_DEVICE, "no GEMM algorithm ran");
    timing->best_s = seconds[timing->best];
    timing->first_s = seconds[0] < 0 ? timing->best_s : seconds[0];
    return FT_OK;
}

static ft_status keep_best(ft_cuda_gemm_state *state, const ft_cuda_gemm_key *key, const cublasLtMatmulAlgo_t *algorithm,
                           const ft_cuda_gemm_timing *timing)
{
    ft_gemm_entry entry = {.key = *key, .algorithm = *algorithm, .best_s = timing->best_s, .first_s = timing->first_s};
    FT_TRY(ft_gemm_table_put(&state->table, &entry));
    for (int s = 0; s < FT_GEMM_PLAN_SETS; s++) {
        for (int w = 0; w < FT_GEMM_PLAN_WAYS; w++) {
            ft_gemm_plan *plan = &state->plans.plan[s][w];
            if (plan->used > 0 && ft_gemm_key_matches(&plan->key, key)) plan->algorithm = *algorithm;
        }
    }
    return FT_OK;
}

static ft_status measure(ft_cuda_gemm_state *state, bench *b, int candidates, void *scratch, int64_t scratch_bytes, bool keep,
                         ft_cuda_gemm_timing *timing)
{
    cublasLtMatmulHeuristicResult_t found[MAX_CANDIDATES];
    double seconds[MAX_CANDIDATES];
    int n;
    FT_TRY(carve(b, scratch, scratch_bytes));
    FT_TRY(fill(b));
    FT_TRY(ft_gemm_plan_candidates(b->blas, &b->plan, candidates < MAX_CANDIDATES ? candidates : MAX_CANDIDATES, found, &n));
    FT_TRY(time_briefly(b, found, n, seconds));
    FT_TRY(time_hot(b, found, n, seconds));
    FT_TRY(choose(seconds, n, timing));
    timing->flops = 2.0 * (double)b->plan.key.m * (double)b->plan.key.n * (double)b->plan.key.k;
    return keep ? keep_best(state, &b->plan.key, &found[timing->best].algo, timing) : FT_OK;
}

ft_status ft_cuda_gemm_measure(ft_queue *queue, const ft_cuda_gemm_key *key, int candidates, void *scratch, int64_t scratch_bytes,
                               bool keep, ft_cuda_gemm_timing *timing)
{
    ft_cuda_gemm_state *state = ft_cuda_gemm_of(queue);
    bench b = {.queue = queue, .blas = &state->blas};
    FT_TRY(ft_gemm_plan_init(b.blas, &b.plan, key));
    ft_status status = FT_OK;
    if (cudaEventCreate(&b.begin) != cudaSuccess || cudaEventCreate(&b.end) != cudaSuccess)
        status = ft_error(FT_E_DEVICE, "cudaEventCreate failed");
    if (status == FT_OK) status = measure(state, &b, candidates, scratch, scratch_bytes, keep, timing);
    if (b.begin != NULL) cudaEventDestroy(b.begin);
    if (b.end != NULL) cudaEventDestroy(b.end);
    ft_gemm_plan_free(b.blas, &b.plan);
    return status;
}

ft_status ft_cuda_gemm_save(ft_queue *queue, const char *path)
{
    return ft_gemm_table_save(&ft_cuda_gemm_of(queue)->table, path);
}
