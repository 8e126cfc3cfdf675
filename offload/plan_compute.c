// Device seconds of a layer, op by op in the order of core/model/layer.c: products at their measured rates, everything else as
// the bytes it moves over the device's measured copy rate. Bytes are the closed forms of the op table where it has them.
//
// What is charged to a linear group beside its wide product: LoRA's narrow ones, each a pass over the tensor it reads (S over x,
// dS with dB over dy, dA over x), and writing the E4M3 copy of an input that no op before it wrote. The narrow product in front
// of an E4M3 one is not: rates are of products that also read what they add to.
#include <string.h>

#include "offload/plan_internal.h"

// Between two ops the device waits for the next launch; the host needs so long to queue one, which is what bounds small visits.
#define OP_GAP_SECONDS 5e-6
#define OP_QUEUE_SECONDS 10e-6

typedef struct {
    const ft_plan *plan;
    const ft_activation_layout *act;
    const ft_compute_form *form;
    double tokens, element;   // bytes of an activation's element
    ft_plan_work work;
} sheet;

static double code_bytes(const sheet *s, double values)
{
    return s->act->twins ? values * (1 + 4.0 / 128) : 0;
}

static void move(sheet *s, double bytes)
{
    s->work.seconds += bytes / s->plan->machine.hbm;
    s->work.ops++;
}

static void multiply(sheet *s, double flops, double rate)
{
    s->work.flops += flops;
    s->work.seconds += flops / rate;
    s->work.ops++;
}

static double op_bytes(const sheet *s, ft_op op, int64_t in)
{
    const ft_shape *shape = &s->plan->layout.shape;
    const ft_op_shape op_shape = {.rows = s->act->tokens, .in = in, .q_heads = shape->q_heads, .kv_heads = shape->kv_heads,
                                 .head_dim = shape->head_dim};
    return ft_op_table[op].bytes(&op_shape, s->act->repr);
}

// The table's norm adds a residual and writes the sum; a layer's norms do not, which is half the traffic.
static void norm(sheet *s, bool twin)
{
    int64_t hidden = s->plan->layout.shape.hidden;
    move(s, op_bytes(s, FT_OP_RMSNORM, hidden) / 2 + (twin ? code_bytes(s, s->tokens * (double)hidden) : 0));
}

// dres, dy and x in, dx out.
static void norm_backward(sheet *s, bool twin)
{
    int64_t hidden = s->plan->layout.shape.hidden;
    move(s, op_bytes(s, FT_OP_RMSNORM, hidden) + (twin ? code_bytes(s, s->tokens * (double)hidden) : 0));
}

typedef struct {
    double in, out, columns;  // columns: LoRA's, the bias's and what fills them up
    double rate;
    bool fp8;
} group;

static group group_of(const sheet *s, ft_group number)
{
    static const ft_act low_rank[FT_GROUP_MATRICES] = {FT_ACT_S_QKV, FT_ACT_S_O, FT_ACT_S_GATE_UP, FT_ACT_S_DOWN};
    const ft_machine *machine = &s->plan->machine;
    bool fp8 = s->plan->repr == FT_REPR_BF16 && s->form->repr[number] == FT_REPR_E4M3;
    group g = {.columns = (double)s->act->cols[low_rank[number]], .fp8 = fp8, .rate = fp8 ? machine->gemm_fp8 : machine->gemm_bf16};
    ft_linear first;
    int count;
    ft_group_linears(number, &first, &count);
    for (int i = 0; i < count; i++) {
        int64_t out, in;
        ft_shape_linear(&s->plan->layout.shape, (ft_linear)(first + i), &out, &in);
        g.in = (double)in;
        g.out += (double)out;
    }
    return g;
}

static void low_rank_of(sheet *s, const group *g)
{
    if (g->columns > 0) move(s, s->tokens * (g->in + g->columns) * s->element);
}

// `coded`: an op before wrote the input's twin.
static void linear(sheet *s, ft_group number, bool coded)
{
    group g = group_of(s, number);
    low_rank_of(s, &g);
    if (g.fp8 && !coded) move(s, s->tokens * g.in * s->element + code_bytes(s, s->tokens * g.in));
    multiply(s, 2 * s->tokens * g.out * (g.in + g.columns), g.rate);
}

// dS, dB, dx and dA.
static void linear_backward(sheet *s, ft_group number, bool coded)
{
    group g = group_of(s, number);
    if (g.columns > 0) move(s, s->tokens * (g.out + g.columns) * s->element);
    if (g.fp8 && !coded) move(s, s->tokens * g.out * s->element + code_bytes(s, s->tokens * g.out));
    multiply(s, 2 * s->tokens * g.in * (g.out + g.columns), g.rate);
    low_rank_of(s, &g);
}

static void position(sheet *s, bool gradient)
{
    const ft_shape *shape = &s->plan->layout.shape;
    if (shape->qk_norm) move(s, op_bytes(s, FT_OP_QK_NORM, 0));
    move(s, op_bytes(s, FT_OP_ROPE, 0) + (gradient ? code_bytes(s, s->tokens * (double)s->act->cols[FT_ACT_QKV]) : 0));
}

// Causal, in documents of the longest length: QK^T and PV over half of it.
static double attention_flops(const sheet *s)
{
    const ft_shape *shape = &s->plan->layout.shape;
    return 2.0 * s->tokens * (double)s->plan->request.max_document * (double)(shape->q_heads * shape->head_dim);
}

static void mlp_inputs(sheet *s)
{
    norm(s, true);
    linear(s, FT_GROUP_GATE_UP, true);
}

static void swiglu(sheet *s)
{
    int64_t ffn = s->plan->layout.shape.ffn;
    move(s, op_bytes(s, FT_OP_SWIGLU, ffn) + code_bytes(s, s->tokens * (double)ffn));
}

// Without down's product, of which the backward pass needs S alone.
static void mlp_again(sheet *s)
{
    mlp_inputs(s);
    group down = group_of(s, FT_GROUP_DOWN);
    if (down.columns <= 0) return;
    swiglu(s);
    low_rank_of(s, &down);
}

// `whole` false: made again in the backward visit. A tiled MLP is made again anyway, tile by tile.
static void forward(sheet *s, bool whole)
{
    norm(s, true);
    linear(s, FT_GROUP_QKV, true);
    position(s, false);
    multiply(s, attention_flops(s), s->plan->machine.attention_forward);
    linear(s, FT_GROUP_O, false);
    if (!whole && s->act->tiled) return;
    if (!whole) {
        mlp_again(s);
        return;
    }
    mlp_inputs(s);
    swiglu(s);
    linear(s, FT_GROUP_DOWN, true);
}

// Gate, up and their gradient's source in, gradients out; SwiGLU's output again where dA needs it.
static void swiglu_backward(sheet *s)
{
    double values = s->tokens * (double)s->plan->layout.shape.ffn;
    move(s, values * s->element * (s->act->keeps_inputs ? 5 : 6) + code_bytes(s, 2 * values));
}

static void input_again(sheet *s)
{
    if (!s->act->keeps_inputs) norm(s, false);
}

static void backward(sheet *s)
{
    if (s->act->tiled) mlp_again(s);
    linear_backward(s, FT_GROUP_DOWN, false);
    swiglu_backward(s);
    linear_backward(s, FT_GROUP_GATE_UP, true);
    input_again(s);
    norm_backward(s, true);
    linear_backward(s, FT_GROUP_O, true);
    multiply(s, 2.5 * attention_flops(s), s->plan->machine.attention_backward);
    position(s, true);
    linear_backward(s, FT_GROUP_QKV, true);
    input_again(s);
    norm_backward(s, false);
}

static ft_plan_work end(sheet *s)
{
    if (s->plan->machine.device == FT_DEVICE_CPU) s->work.ops = 0;
    return s->work;
}

// The form of a layer. E4M3 codes serve the way forward as they are; W^T codes are made on the way back. float32 and bf16 forms
// serve both ways, but another layer's has taken their place in between.
static ft_plan_work form(const sheet *base, const ft_record *record, ft_direction direction)
{
    sheet s = *base;
    double compute_element = s.plan->repr == FT_REPR_F32 ? 4 : 2;
    for (int i = 0; i < record->n_tensors; i++) {
        const ft_record_tensor *tensor = &record->tensor[i];
        if (s.form->offset[i] < 0) continue;
        bool fp8 = tensor->group < FT_GROUP_MATRICES && s.form->repr[tensor->group] == FT_REPR_E4M3;
        if (fp8 && direction == FT_FORWARD) continue;
        move(&s, (double)tensor->codes_bytes + (double)tensor->rows * (double)tensor->cols * (fp8 ? 1 : compute_element));
    }
    return end(&s);
}

// bf16 copies of the adapter's masters.
static ft_plan_work adapter(const sheet *base)
{
    sheet s = *base;
    for (int number = 0; number < FT_GROUP_MATRICES; number++) {
        group g = group_of(&s, (ft_group)number);
        if (s.act->fold[number] > 0) move(&s, g.columns * (g.in + g.out) * 6);
    }
    return end(&s);
}

void ft_plan_cost_layer(const ft_plan *plan, int64_t layer, const ft_activation_layout *act, ft_plan_cost *cost)
{
    const sheet base = {.plan = plan, .act = act, .form = &plan->form[layer], .tokens = (double)act->tokens,
                        .element = (double)ft_repr_bytes(act->repr)};
    const ft_record *record = &plan->layout.record[layer];
    sheet whole = base, again = base, back = base;
    forward(&whole, true);
    forward(&again, false);
    backward(&back);
    *cost = (ft_plan_cost){.forward = end(&whole), .again = end(&again), .backward = end(&back), .adapter = adapter(&base),
                           .form = {form(&base, record, FT_FORWARD), form(&base, record, FT_BACKWARD)}};
    for (int number = 0; number < FT_GROUP_MATRICES; number++)
        cost->in_place |= plan->repr == FT_REPR_BF16 && plan->form[layer].repr[number] == FT_REPR_E4M3;
    for (int i = 0; i < record->n_tensors; i++) cost->in_place |= plan->form[layer].offset[i] < 0;
}

double ft_plan_work_seconds(const ft_plan_work *work)
{
    double device = work->seconds + (double)work->ops * OP_GAP_SECONDS, host = (double)work->ops * OP_QUEUE_SECONDS;
    return device > host ? device : host;
}

void ft_plan_work_add(ft_plan_work *sum, const ft_plan_work *work, int64_t times)
{
    sum->seconds += work->seconds * (double)times;
    sum->flops += work->flops * (double)times;
    sum->ops += work->ops * times;
}

// Final norm forward and backward; logits and their gradient: two products with the head matrix when training, one when not,
// each as a pass over the logits too, written and read once in bf16.
double ft_plan_head_seconds(const ft_plan *plan)
{
    const ft_shape *shape = &plan->layout.shape;
    bool train = plan->request.train;
    sheet s = {.plan = plan, .act = &plan->activation, .tokens = (double)plan->micro_batch_tokens, .element = (double)ft_repr_bytes(plan->repr)};
    norm(&s, false);
    if (train) norm_backward(&s, false);
    multiply(&s, (train ? 4.0 : 2.0) * (double)ft_shape_head_parameters(shape) * s.tokens, plan->machine.gemm_bf16);
    move(&s, (train ? 2.0 : 1.0) * s.tokens * (double)shape->vocab * s.element);
    ft_plan_work work = end(&s);
    return ft_plan_work_seconds(&work);
}
