// The operations of a transformer step: one interface, a CPU reference and a CUDA version of each.
//
// Grain is what fusion needs, not BLAS grain. Rules for every op:
//  - It is asynchronous on `queue` and allocates nothing; scratch comes in as (workspace, workspace_bytes), aligned to
//    FT_ARENA_ALIGN, at least ft_op_workspace(op, shape, kind) bytes. What it holds afterwards means nothing.
//  - Activations are views: row-major [rows = tokens, cols], leading dimension ld in elements, representation repr. The CPU
//    device computes in float32 and takes FT_REPR_F32 only; CUDA takes FT_REPR_BF16, where said with an E4M3 twin.
//  - Reductions are FP32 with a fixed tree; no atomics on floats: same inputs, same device, same build -> same bits. Only
//    CUDA's attention_backward may differ, where ft_ops_options.deterministic is not asked for.
//  - Adapter tensors (A [r, in], B [out, r]) and their gradients are float32 masters. The CPU device multiplies with the
//    masters; CUDA with bf16 copies that lora_prepare writes (ft_linear_group.fold).
#ifndef FT_KERNELS_OPS_H
#define FT_KERNELS_OPS_H

#include "common/codec.h"
#include "common/rng.h"
#include "device/device.h"

typedef enum { FT_REPR_F32, FT_REPR_BF16, FT_REPR_E4M3 } ft_repr;
static inline int64_t ft_repr_bytes(ft_repr repr) { return repr == FT_REPR_F32 ? 4 : repr == FT_REPR_BF16 ? 2 : 1; }

// Activation view. `codes` is an optional E4M3 twin of a bf16 view (CUDA, `compute: fp8`): the same values quantized 1x128
// along cols, [rows, cols] with leading dimension cols, and their `scales`, token-contiguous [ceil(cols/128)][rows rounded up to
// FT_ROW_ALIGN]. embed, rmsnorm, linear and swiglu write the twin of what they make, rope and qk_norm those of gradients alone,
// the other ops none; an op that multiplies by E4M3 weights reads the twin and quantizes into its workspace where there is none.
// Every CUDA activation has room for rows rounded up to FT_ROW_ALIGN (the FP8 GEMM's grain); what the extra rows hold means
// nothing.
#define FT_ROW_ALIGN 16
typedef struct {
    void *data;
    uint8_t *codes;
    float *scales;
    ft_repr repr;
    int64_t rows, cols, ld;
} ft_view;

// The `columns` behind a view's own, in the room its leading dimension leaves.
static inline ft_view ft_view_tail(ft_view view, int64_t columns)
{
    ft_view tail = view;
    tail.data = (char *)view.data + view.cols * ft_repr_bytes(view.repr);
    tail.codes = NULL;
    tail.scales = NULL;
    tail.cols = columns;
    return tail;
}

// A frozen matrix as the store keeps it, [rows = out, cols = in].
typedef struct {
    const void *codes;        // E4M3, or BF16/F16/F32 elements when kind is FT_SCALE_NONE
    const float *scales;      // W orientation (common/codec.h), NULL when kind is FT_SCALE_NONE
    const float *scales_t;    // W^T orientation, TILE only
    ft_dtype dtype;
    ft_scale_kind kind;
    int64_t rows, cols;
} ft_matrix;

// The form GEMMs read, made once per layer visit, or once per run where it stays resident.
//   F32, BF16: `data` [rows, cols], leading dimension ld, dequantized, used in both directions; data_t and scales unused.
//   E4M3 (CUDA, rows and cols multiples of 128): `data` the codes [rows, cols] for the forward product, `data_t` the codes of
//   W^T [cols, rows] for the backward one, with `scales` and `scales_t` in cuBLASLt's block layout (common/codec.h TILE: rows
//   padded to 4). kind TILE: the store's own scales. TENSOR: tile grids filled with the one scale. ROW: `scales` one per row
//   (the forward product quantizes x per token, OUTER_VEC), the backward multiplies dY's columns by them before quantizing and
//   `scales_t` is a grid of ones.
typedef struct {
    void *data;
    void *data_t;
    const float *scales, *scales_t;
    ft_repr repr;
    ft_scale_kind kind;
    int64_t rows, cols, ld;
} ft_weight;

// LoRA of one linear: y += scale * B (A dropout(x)). dA, dB NULL in a forward-only pass.
typedef struct {
    const float *a, *b;       // [r, in], [out, r]
    float *da, *db;           // accumulated
    int64_t r;
    float scale;              // alpha/r or alpha/sqrt(r)
} ft_lora;

// Counter of a dropout mask (one mask per input of a group): element (token, feature) is kept iff
// uniform(word feature % 4 of rng(seed, DROPOUT, step, layer << 8 | group, token_base + token, feature / 4)) >= p, and then
// scaled by 1/(1-p).
typedef struct {
    float p;                  // 0 = no dropout
    uint64_t seed;
    uint32_t step, layer, group, token_base;
} ft_dropout;

// A linear group: y[:, parts side by side] = x W^T + bias + LoRA. qkv has 3 parts, gate+up 2, o and down 1. The parts' weights
// may be one stacked matrix (n_weights 1; always so for BF16 weights on CUDA) or one each (n_weights = n_parts).
//
// fold (CUDA; 0 on the CPU, and where a group has neither LoRA nor bias): columns that carry LoRA and bias through the big GEMM.
// With R = sum of r, fold = FT_FOLD(R + (any bias)), a multiple of 64. Column part i's r_i columns start at the sum of the r
// before it; column R is the bias, if any; the rest is zero.
//   fold_a [fold, in], bf16:  row j of part i = A_i's row; the bias row and the rest zero
//   fold_b [out, fold], bf16: rows of part i: scale * B_i in its columns, zero elsewhere, bias in column R
// written by lora_prepare. A BF16 weight has them around it: fold_b = data + cols (so ld = cols + fold) and fold_a = data +
// rows * ld, so that with S = dropout(x) A^T | 1 | 0 in x's tail and dS = dy fold_b in dy's tail
//   y = [x | S] [W | fold_b]^T       dx = [dy | dS] [W ; fold_a]
// are one GEMM each with one float32 sum. Tails: a view that enters a group as x, or as dy, has ld >= cols + fold of the group
// and the op writes columns [cols, cols + fold). With dropout dx = dy W plus the masked dS fold_a. E4M3 weights take two GEMMs,
// the small one first.
#define FT_FOLD(columns) (((columns) + 63) / 64 * 64)
#define FT_LINEAR_PARTS 3
typedef struct {
    int n_parts;
    int64_t out[FT_LINEAR_PARTS];           // out features of each part, in column order of y
    int n_weights;
    ft_weight weight[FT_LINEAR_PARTS];
    const float *bias[FT_LINEAR_PARTS];     // NULL = none
    ft_lora lora[FT_LINEAR_PARTS];          // r 0 = not targeted
    int64_t fold;
    void *fold_a, *fold_b;
    int64_t fold_a_ld, fold_b_ld;
    ft_dropout dropout;
} ft_linear_group;

// Packed documents of a micro-batch: document d covers slots [begin[d], begin[d+1]). Attention is causal inside a document and
// nothing crosses. `begin` is host memory and, on CUDA, mirrored in `device_begin`.
typedef struct {
    const int32_t *begin;
    const int32_t *device_begin;
    int32_t n;
    int32_t max_length;       // bound used for plans and workspaces
} ft_documents;

typedef struct {
    int64_t q_heads, kv_heads, head_dim;
    float scale;              // 1/sqrt(head_dim)
} ft_attention;

// cos/sin tables [positions, head_dim/2], float32, made once by ft_rope_tables (kernels/rope_tables.c) from float64.
typedef struct {
    const float *cosine, *sine;
    int64_t positions, half;
} ft_rope;

// Final norm output -> logits -> loss. Per trainable slot t: nll = logsumexp(z) - z[label].
typedef struct {
    float loss_scale;         // dX is d(loss_scale * sum nll)/dx: 1 / trainable tokens of the optimizer step
    int64_t chunk;            // rows whose logits exist at once
    bool want_gradient;
    float *logits;            // optional [rows, vocab] float32 output (evaluation), else NULL
} ft_head_options;

// double: 1 - beta2 of a float32 beta2 is off by 5e-5, which the update would show.
typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
    double bias1, bias2;      // 1 - beta^t
} ft_adamw;

// What the gradient norm decides, on the device.
typedef struct {
    double sum_squares;       // of all gradients
    int32_t finite;           // 0: some gradient is NaN or Inf, or the sum is; nothing may be updated
    float factor;             // gradients are multiplied by it: min(1, max_norm / (norm + 1e-6)), torch's clip_grad_norm_
} ft_clip;

// Bytes of device memory, at a multiple of 16 on CUDA.
typedef struct {
    const void *address;
    int64_t bytes;
} ft_range;

// What a run's ops must be ready for before step 0.
typedef struct {
    ft_attention attention;
    int64_t rows;             // slots of a micro-batch
    int64_t max_length;       // longest document
    int64_t max_docs;         // most documents of a micro-batch
    int64_t qkv_ld, o_ld, d_o_ld, dqkv_ld;  // leading dimensions; 0 = plans are made at the first call
    bool train;
    bool deterministic;       // the attention of our own, whose backward has a fixed order of sums
    const char *gemm_table;   // file of measured GEMM algorithms (ft-bench calibrate), NULL = the library's first choice
} ft_ops_options;

// One device's implementations.
typedef struct {
    ft_device_kind kind;
    // Before the first op of a queue: library handles, attention plans, the check that every library workspace keeps to its
    // bound. Everything it makes lives as long as the queue. describe: one line for people on what computes (static or owned by
    // the queue), e.g. "attention: cuDNN 9.19.0; GEMM: cuBLASLt 13.1.0, 14 measured algorithms".
    ft_status (*open)(ft_queue *queue, const ft_ops_options *options);
    const char *(*describe)(ft_queue *queue);
    // Stored form -> compute form (dst's pointers and fields are filled by the caller). F32 and BF16: writes dst->data. E4M3:
    // writes data_t, and scales and scales_t where they are not the stored ones (TENSOR both, ROW scales_t).
    ft_status (*weight_prepare)(ft_queue *queue, const ft_weight *dst, const ft_matrix *src);
    // Small tensors (norm weights, biases) of any float dtype to float32.
    ft_status (*vector_prepare)(ft_queue *queue, float *dst, const void *src, ft_dtype dtype, int64_t n);
    // The group's bf16 LoRA copies fold_a and fold_b from masters and bias. Nothing to do where fold is 0.
    ft_status (*lora_prepare)(ft_queue *queue, const ft_linear_group *group);
    // Rows of `table` (any float dtype, contiguous, dst.cols wide) -> view: row ids[t], or row t where ids is NULL.
    ft_status (*embed)(ft_queue *queue, ft_view dst, const void *table, ft_dtype dtype, const int32_t *ids);
    // h = x + residual (residual may be empty: data NULL, then h is x and sum_out unused); y = h * rsqrt(mean(h^2) + eps) * w;
    // rstd[row]. y.data NULL computes only the sum and rstd. sum_out may be x or residual.
    ft_status (*rmsnorm_forward)(ft_queue *queue, ft_view y, ft_view sum_out, float *rstd, ft_view x, ft_view residual,
                                 const float *weight, float eps);
    // y = x * rstd * w again from saved rstd (recompute in backward).
    ft_status (*rmsnorm_apply)(ft_queue *queue, ft_view y, ft_view x, const float *rstd, const float *weight);
    // dx = dres + rstd * (m - x * rstd^2 * mean(m * x)), m = dy * w. dx may alias dres or x; dres.data NULL counts as zero.
    ft_status (*rmsnorm_backward)(ft_queue *queue, ft_view dx, ft_view dres, ft_view dy, ft_view x, const float *rstd,
                                  const float *weight);
    // y = residual + group(x); residual.data NULL counts as zero, y may be residual. `low_rank` keeps S = dropout(x) A^T for the
    // backward pass: [rows, sum of r], on CUDA [rows, fold]. y.data NULL: only S, whatever residual is (recompute of a
    // layer whose output is not needed).
    ft_status (*linear_forward)(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                                ft_view low_rank, void *workspace, int64_t workspace_bytes);
    // dB += and dx = dy W (+ LoRA). dx.data NULL skips the input gradient. `d_low_rank` gets dS for lora_backward_a; on CUDA it
    // is dy's tail (data = dy's column cols, cols = fold, ld = dy.ld).
    ft_status (*linear_backward)(ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view dy, ft_view low_rank,
                                 ft_view d_low_rank, void *workspace, int64_t workspace_bytes);
    // dA += dS^T dropout(x). Apart from linear_backward because x may be made only after dx is known (SwiGLU's output).
    ft_status (*lora_backward_a)(ft_queue *queue, const ft_linear_group *group, ft_view x, ft_view d_low_rank, void *workspace,
                                 int64_t workspace_bytes);
    // Each q and k head of qkv [rows, (q_heads + 2 kv_heads) * head_dim] becomes x * rstd * w in place, before rope, with w
    // q_weight or k_weight [head_dim]. `raw` [rows, (q_heads + kv_heads) * head_dim] gets the heads as they were and `rstd`
    // [rows, q_heads + kv_heads] their factors, both for the backward pass.
    ft_status (*qk_norm_forward)(ft_queue *queue, ft_view qkv, ft_view raw, float *rstd, const ft_attention *shape,
                                 const float *q_weight, const float *k_weight, float eps);
    // The q and k columns of dqkv, gradients of the normed heads, become gradients of the raw ones in place; v is not touched.
    // The weights are frozen and get no gradient.
    ft_status (*qk_norm_backward)(ft_queue *queue, ft_view dqkv, ft_view raw, const float *rstd, const ft_attention *shape,
                                  const float *q_weight, const float *k_weight);
    // In place on the q and k columns of qkv [rows, (q_heads + 2 kv_heads) * head_dim]; direction +1 forward, -1 backward.
    ft_status (*rope)(ft_queue *queue, ft_view qkv, const ft_attention *shape, const ft_rope *table, const int32_t *positions,
                      int direction);
    // o [rows, q_heads * head_dim], lse [q_heads, rows] natural log; on CUDA its layout is for attention_backward alone, called
    // with the same documents.
    ft_status (*attention_forward)(ft_queue *queue, ft_view o, float *lse, ft_view qkv, const ft_attention *shape,
                                   const ft_documents *documents, void *workspace, int64_t workspace_bytes);
    ft_status (*attention_backward)(ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o, const float *lse, ft_view qkv,
                                    const ft_attention *shape, const ft_documents *documents, void *workspace,
                                    int64_t workspace_bytes);
    // One query row per sequence against a cache (generation): q [1, q_heads*d], k/v cache [length, kv_heads*d].
    ft_status (*attention_decode)(ft_queue *queue, ft_view o, ft_view q, const void *k_cache, const void *v_cache,
                                  int64_t length, const ft_attention *shape, void *workspace, int64_t workspace_bytes);
    // y = silu(gate) * up, gate_up [rows, 2 ffn] (gate first). dgate_up may be gate_up. The backward writes y again too, where
    // y.data is given (bf16 only, no twin: dA needs it, no GEMM does); y may be dy.
    ft_status (*swiglu_forward)(ft_queue *queue, ft_view y, ft_view gate_up);
    ft_status (*swiglu_backward)(ft_queue *queue, ft_view dgate_up, ft_view y, ft_view dy, ft_view gate_up);
    // x [rows, hidden] is already normed. Adds sum of nll of trainable rows to *nll_sum (double, device) and, if wanted,
    // writes dx (which may be x). Rows with label < 0 give dx 0. Chunks are options.chunk rows counted from row 0, ascending.
    // Head: BF16, F16 or F32; on CUDA BF16. Asking for options.logits computes every row, which may round the loss differently.
    ft_status (*head_loss)(ft_queue *queue, double *nll_sum, ft_view dx, ft_view x, const ft_matrix *head,
                           const int32_t *labels, const ft_head_options *options, void *workspace, int64_t workspace_bytes);
    // clip->sum_squares in double by a fixed tree, whether all is finite, and the factor for max_norm (<= 0: 1).
    ft_status (*clip)(ft_queue *queue, ft_clip *clip, const float *x, int64_t n, double max_norm, void *workspace,
                      int64_t workspace_bytes);
    // Decoupled AdamW (Loshchilov & Hutter 2019) on n parameters; the gradient is multiplied by clip->factor first. Changes
    // nothing where clip->finite is 0. `clip` is device memory.
    ft_status (*adamw)(ft_queue *queue, float *parameter, const float *gradient, float *moment1, float *moment2, int64_t n,
                       const ft_adamw *options, const ft_clip *clip);
    // out[i] = XXH3-64 (seed 0, default secret) of ranges[i], each longer than 240 bytes. `out` is device memory, `ranges` the
    // host's and read before the call returns.
    ft_status (*stripe_hash)(ft_queue *queue, uint64_t *out, const ft_range *ranges, int64_t n);
} ft_ops;

// The members' names. A device implements them as functions of its prefix and the name, ft_cpu_swiglu_forward: FT_OP_DECLARE declares
// one with its member's type (__typeof__ evaluates nothing), FT_OP_MEMBER sets the member to it.
#define FT_OPS(X, prefix) \
    X(prefix, open) X(prefix, describe) X(prefix, weight_prepare) X(prefix, vector_prepare) X(prefix, lora_prepare) \
    X(prefix, embed) X(prefix, rmsnorm_forward) X(prefix, rmsnorm_apply) X(prefix, rmsnorm_backward) \
    X(prefix, linear_forward) X(prefix, linear_backward) X(prefix, lora_backward_a) X(prefix, qk_norm_forward) \
    X(prefix, qk_norm_backward) X(prefix, rope) X(prefix, attention_forward) X(prefix, attention_backward) \
    X(prefix, attention_decode) X(prefix, swiglu_forward) X(prefix, swiglu_backward) X(prefix, head_loss) \
    X(prefix, clip) X(prefix, adamw) X(prefix, stripe_hash)
#define FT_OP_DECLARE(prefix, name) extern __typeof__(*((const ft_ops *)0)->name) prefix##name;
#define FT_OP_MEMBER(prefix, name) .name = prefix##name,

// NULL if this build has no kernels for the kind.
const ft_ops *ft_ops_for(ft_device_kind kind);

// --- The op table: what planner, parity tests and micro-benchmarks loop over ---------------------------------------------
typedef enum {
    FT_OP_WEIGHT_PREPARE,
    FT_OP_RMSNORM,
    FT_OP_LINEAR_FORWARD,
    FT_OP_LINEAR_BACKWARD,    // with lora_backward_a
    FT_OP_QK_NORM,
    FT_OP_ROPE,
    FT_OP_ATTENTION_FORWARD,
    FT_OP_ATTENTION_BACKWARD,
    FT_OP_ATTENTION_DECODE,
    FT_OP_SWIGLU,
    FT_OP_HEAD_LOSS,
    FT_OP_CLIP,
    FT_OP_ADAMW,
    FT_OP_STRIPE_HASH,
    FT_OP_COUNT,
} ft_op;

// Shape of one call. Unused members are 0.
typedef struct {
    int64_t rows;             // tokens
    int64_t in, out;          // linear, weight_prepare: in and sum of out features
                              // rmsnorm, head_loss: in = hidden; swiglu: in = ffn
    int64_t rank;             // linear: sum of r of the group
    int64_t parts;            // linear: parts of the group, 0 = 1 (FLOPs and bytes take them to be alike)
    int64_t q_heads, kv_heads, head_dim, max_length, max_docs;
    int64_t vocab, chunk;
    int64_t n;                // elementwise ops over n values; stripe_hash: n words of 8 bytes
    bool dropout;
} ft_op_shape;

typedef struct {
    ft_op op;
    const char *name;
    double tolerance_f32, tolerance_bf16, tolerance_fp8;  // ||out - ref|| / ||ref|| against float64
    int64_t (*workspace)(const ft_op_shape *shape, ft_device_kind kind);
    double (*flops)(const ft_op_shape *shape);
    double (*bytes)(const ft_op_shape *shape, ft_repr repr);  // least traffic: each input once, each output once
} ft_op_info;

extern const ft_op_info ft_op_table[FT_OP_COUNT];
int64_t ft_op_workspace(ft_op op, const ft_op_shape *shape, ft_device_kind kind);  // bytes

// Fills cos and sin [positions, head_dim/2] for the given inverse frequencies (float64 arithmetic, rounded once).
void ft_rope_tables(float *cosine, float *sine, const double *inverse_frequency, int64_t positions, int64_t half);
// Inverse frequencies theta^(-2i/d); llama3 scaling as in Llama 3.1's reference (HF modeling_rope_utils, "llama3"); factor 0
// is none.
void ft_rope_frequencies(double *inverse_frequency, int64_t head_dim, double theta, double factor, double low_freq,
                         double high_freq, int64_t original_positions);

#endif
