// The op table. Tolerances are ||out - reference|| / ||reference|| against float64 on values of order one: float32 sums of a
// few thousand terms stay below 2e-6 and are given room; bf16 is its unit roundoff 2^-8 once on the way in and once out; fp8 is
// E4M3's 2^-4 on both operands, averaged over a sum.
//
// Workspaces are the closed forms of the implementations themselves, those of CUDA (kernels/cuda/workspace.h) in every build:
// a plan for a GPU is made without one.
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cuda/workspace.h"

static int64_t none_workspace(const ft_op_shape *s, ft_device_kind kind)
{
    return 0;
}

// --- weight_prepare: [out, in] -----------------------------------------------------------------------------------------------
static double prepare_flops(const ft_op_shape *s)
{
    return (double)s->in * (double)s->out;
}

static double prepare_bytes(const ft_op_shape *s, ft_repr repr)
{
    return (double)s->in * (double)s->out * (double)(1 + ft_repr_bytes(repr));
}

// --- rmsnorm with residual: x, residual -> sum, y; a square, a sum and two products a value ----------------------------------
static double rmsnorm_flops(const ft_op_shape *s)
{
    return 5.0 * (double)s->rows * (double)s->in;
}

static double rmsnorm_bytes(const ft_op_shape *s, ft_repr repr)
{
    return 4.0 * (double)s->rows * (double)s->in * (double)ft_repr_bytes(repr) + 4.0 * (double)(s->in + s->rows);
}

// --- linear: x [rows, in], W [out, in], A [rank, in], B [out, rank / parts] --------------------------------------------------
static double part_rank(const ft_op_shape *s)
{
    return (double)s->rank / (double)(s->parts > 0 ? s->parts : 1);
}

static int64_t linear_forward_workspace(const ft_op_shape *s, ft_device_kind kind)
{
    return kind == FT_DEVICE_CPU ? ft_cpu_linear_forward_workspace(s) : ft_cuda_linear_forward_workspace(s);
}

static int64_t linear_backward_workspace(const ft_op_shape *s, ft_device_kind kind)
{
    return kind == FT_DEVICE_CPU ? ft_cpu_linear_backward_workspace(s) : ft_cuda_linear_backward_workspace(s);
}

static double linear_forward_flops(const ft_op_shape *s)
{
    double in = (double)s->in, out = (double)s->out;
    return 2.0 * (double)s->rows * (in * out + (double)s->rank * in + part_rank(s) * out);
}

// dX; of LoRA dS and dB over out, dA and its share of dX over in.
static double linear_backward_flops(const ft_op_shape *s)
{
    double in = (double)s->in, out = (double)s->out;
    return 2.0 * (double)s->rows * (in * out + 2.0 * (double)s->rank * in + 2.0 * part_rank(s) * out);
}

static double linear_forward_bytes(const ft_op_shape *s, ft_repr repr)
{
    double in = (double)s->in, out = (double)s->out, rows = (double)s->rows;
    double lora = (double)s->rank * in + part_rank(s) * out + rows * (double)s->rank;
    return (rows * (in + out) + in * out) * (double)ft_repr_bytes(repr) + 4.0 * lora;
}

// As forward with dX for Y, X once more for dA, and dA, dB read and written.
static double linear_backward_bytes(const ft_op_shape *s, ft_repr repr)
{
    double in = (double)s->in, out = (double)s->out, rows = (double)s->rows;
    double lora = 3.0 * ((double)s->rank * in + part_rank(s) * out) + rows * (double)s->rank;
    return (rows * (2.0 * in + out) + in * out) * (double)ft_repr_bytes(repr) + 4.0 * lora;
}

// --- qk_norm: the values of q and k, in place, and a copy of them; a square, a sum and two products a value -------------------
static double qk_values(const ft_op_shape *s)
{
    return (double)s->rows * (double)((s->q_heads + s->kv_heads) * s->head_dim);
}

static double qk_norm_flops(const ft_op_shape *s)
{
    return 4.0 * qk_values(s);
}

static double qk_norm_bytes(const ft_op_shape *s, ft_repr repr)
{
    return 3.0 * qk_values(s) * (double)ft_repr_bytes(repr) + 4.0 * (double)s->rows * (double)(s->q_heads + s->kv_heads);
}

// --- rope: three operations a value of q and k, in place ---------------------------------------------------------------------
static double rope_flops(const ft_op_shape *s)
{
    return 3.0 * qk_values(s);
}

static double rope_bytes(const ft_op_shape *s, ft_repr repr)
{
    return 2.0 * qk_values(s) * (double)ft_repr_bytes(repr);
}

// --- attention: rows in documents of max_length; a query sees (max_length + 1) / 2 keys on average ---------------------------
static double attention_flops(const ft_op_shape *s)
{
    return 4.0 * (double)s->rows * ((double)s->max_length + 1) / 2 * (double)(s->q_heads * s->head_dim);
}

// Five products where forward has two.
static double attention_backward_flops(const ft_op_shape *s)
{
    return 2.5 * attention_flops(s);
}

static double attention_bytes(const ft_op_shape *s, ft_repr repr)
{
    double values = (double)((2 * s->q_heads + 2 * s->kv_heads) * s->head_dim);
    return (double)s->rows * (values * (double)ft_repr_bytes(repr) + 4.0 * (double)s->q_heads);
}

// qkv, o and dO in, dqkv out.
static double attention_backward_bytes(const ft_op_shape *s, ft_repr repr)
{
    double values = (double)((4 * s->q_heads + 4 * s->kv_heads) * s->head_dim);
    return (double)s->rows * (values * (double)ft_repr_bytes(repr) + 4.0 * (double)s->q_heads);
}

static int64_t attention_forward_workspace(const ft_op_shape *s, ft_device_kind kind)
{
    return kind == FT_DEVICE_CPU ? 0 : ft_cuda_attention_forward_workspace(s);
}

static int64_t attention_backward_workspace(const ft_op_shape *s, ft_device_kind kind)
{
    return kind == FT_DEVICE_CPU ? ft_cpu_attention_backward_workspace(s) : ft_cuda_attention_backward_workspace(s);
}

// --- attention_decode: one query against max_length keys ---------------------------------------------------------------------
static double decode_flops(const ft_op_shape *s)
{
    return 4.0 * (double)s->max_length * (double)(s->q_heads * s->head_dim);
}

static double decode_bytes(const ft_op_shape *s, ft_repr repr)
{
    double cache = 2.0 * (double)s->max_length * (double)(s->kv_heads * s->head_dim);
    return (cache + 2.0 * (double)(s->q_heads * s->head_dim)) * (double)ft_repr_bytes(repr);
}

static int64_t decode_workspace(const ft_op_shape *s, ft_device_kind kind)
{
    return kind == FT_DEVICE_CPU ? ft_cpu_attention_decode_workspace(s) : ft_cuda_attention_decode_workspace(s);
}

// --- swiglu: in = ffn; an exponential is counted as one operation ------------------------------------------------------------
static double swiglu_flops(const ft_op_shape *s)
{
    return 5.0 * (double)s->rows * (double)s->in;
}

static double swiglu_bytes(const ft_op_shape *s, ft_repr repr)
{
    return 3.0 * (double)s->rows * (double)s->in * (double)ft_repr_bytes(repr);
}

// --- head_loss: in = hidden; logits and dX, all rows trainable; the head is bf16 ---------------------------------------------
static int64_t head_loss_workspace(const ft_op_shape *s, ft_device_kind kind)
{
    return kind == FT_DEVICE_CPU ? ft_cpu_head_loss_workspace(s) : ft_cuda_head_loss_workspace(s);
}

static double head_loss_flops(const ft_op_shape *s)
{
    return (double)s->rows * (double)s->vocab * (4.0 * (double)s->in + 4.0);
}

static double head_loss_bytes(const ft_op_shape *s, ft_repr repr)
{
    return 2.0 * (double)s->vocab * (double)s->in + 2.0 * (double)s->rows * (double)s->in * (double)ft_repr_bytes(repr);
}

// --- optimizer: float32 whatever the activations are -------------------------------------------------------------------------
static int64_t clip_workspace(const ft_op_shape *s, ft_device_kind kind)
{
    return kind == FT_DEVICE_CPU ? ft_cpu_clip_workspace(s) : ft_cuda_clip_workspace(s);
}

static double clip_flops(const ft_op_shape *s)
{
    return 2.0 * (double)s->n;
}

static double clip_bytes(const ft_op_shape *s, ft_repr repr)
{
    return 4.0 * (double)s->n;
}

static double adamw_flops(const ft_op_shape *s)
{
    return 14.0 * (double)s->n;
}

// Reads p, g, m, v; writes p, m, v.
static double adamw_bytes(const ft_op_shape *s, ft_repr repr)
{
    return 28.0 * (double)s->n;
}

// --- stripe_hash: a product, an exclusive or and two sums a word; every byte is read once, and equal or not ------------------
static double hash_flops(const ft_op_shape *s)
{
    return 4.0 * (double)s->n;
}

static double hash_bytes(const ft_op_shape *s, ft_repr repr)
{
    return 8.0 * (double)s->n;
}

#define ROW(id, text, f32, bf16, fp8, space, work, traffic) \
    [id] = {.op = id, .name = text, .tolerance_f32 = f32, .tolerance_bf16 = bf16, .tolerance_fp8 = fp8, .workspace = space, \
            .flops = work, .bytes = traffic}

const ft_op_info ft_op_table[FT_OP_COUNT] = {
    ROW(FT_OP_WEIGHT_PREPARE, "weight_prepare", 1e-7, 4e-3, 0, none_workspace, prepare_flops, prepare_bytes),
    ROW(FT_OP_RMSNORM, "rmsnorm", 1e-6, 8e-3, 6e-2, none_workspace, rmsnorm_flops, rmsnorm_bytes),
    ROW(FT_OP_LINEAR_FORWARD, "linear_forward", 5e-6, 1e-2, 6e-2, linear_forward_workspace, linear_forward_flops,
        linear_forward_bytes),
    ROW(FT_OP_LINEAR_BACKWARD, "linear_backward", 5e-6, 1e-2, 6e-2, linear_backward_workspace, linear_backward_flops,
        linear_backward_bytes),
    ROW(FT_OP_QK_NORM, "qk_norm", 1e-6, 8e-3, 0, none_workspace, qk_norm_flops, qk_norm_bytes),
    ROW(FT_OP_ROPE, "rope", 1e-6, 8e-3, 0, none_workspace, rope_flops, rope_bytes),
    ROW(FT_OP_ATTENTION_FORWARD, "attention_forward", 5e-6, 1e-2, 0, attention_forward_workspace, attention_flops, attention_bytes),
    ROW(FT_OP_ATTENTION_BACKWARD, "attention_backward", 1e-5, 2e-2, 0, attention_backward_workspace, attention_backward_flops,
        attention_backward_bytes),
    ROW(FT_OP_ATTENTION_DECODE, "attention_decode", 5e-6, 1e-2, 0, decode_workspace, decode_flops, decode_bytes),
    ROW(FT_OP_SWIGLU, "swiglu", 1e-6, 8e-3, 6e-2, none_workspace, swiglu_flops, swiglu_bytes),
    ROW(FT_OP_HEAD_LOSS, "head_loss", 5e-6, 1e-2, 0, head_loss_workspace, head_loss_flops, head_loss_bytes),
    ROW(FT_OP_CLIP, "clip", 1e-12, 1e-12, 0, clip_workspace, clip_flops, clip_bytes),
    ROW(FT_OP_ADAMW, "adamw", 1e-6, 1e-6, 0, none_workspace, adamw_flops, adamw_bytes),
    ROW(FT_OP_STRIPE_HASH, "stripe_hash", 1e-15, 1e-15, 0, none_workspace, hash_flops, hash_bytes),
};

int64_t ft_op_workspace(ft_op op, const ft_op_shape *shape, ft_device_kind kind)
{
    FT_ASSERT(op >= 0 && op < FT_OP_COUNT);
    return ft_op_table[op].workspace(shape, kind);
}
