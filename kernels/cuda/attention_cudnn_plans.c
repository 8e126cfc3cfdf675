// Which plans a shape needs, and making them.
#include "kernels/cuda/attention_cudnn_plans.h"

#include <stdio.h>
#include <string.h>

#define RAGGED_LENGTH 128  // lengths are bounds in a ragged plan: whole tiles spare the library its remainders

// A plan's own workspace must fit the part of the closed form that is the library's.
static ft_status check_workspace(const ft_cudnn_attention *attention, ft_pass pass, const ft_attention_plan *plan, bool ragged)
{
    const ft_cudnn_workspace *w = &attention->workspace[pass];
    const int64_t room = w->total - (ragged ? w->ragged_library : w->dense_library);
    if (plan->plan.workspace <= room) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: the plan asks for %lld bytes of workspace, %lld are set aside", plan->plan.name,
                    (long long)plan->plan.workspace, (long long)room);
}

static void make_graph(ft_cudnn_attention *attention, ft_pass pass, ft_cudnn_ld ld, bool ragged, int64_t batch,
                       ft_cudnn_graph *graph, ft_cudnn_tensor bind[FT_BIND_COUNT])
{
    const ft_op_shape *s = &attention->shape;
    const int64_t length = ragged ? (s->max_length + RAGGED_LENGTH - 1) / RAGGED_LENGTH * RAGGED_LENGTH : s->max_length;
    const ft_cudnn_attention_shape shape = {.q_heads = s->q_heads, .kv_heads = s->kv_heads, .head_dim = s->head_dim,
                                            .batch = batch, .length = length, .ld = ld, .ragged = ragged};
    char name[FT_CUDNN_NAME];
    snprintf(name, sizeof name, "attention %s, %s, %lld x %lld, heads %lld/%lld x %lld", pass ? "backward" : "forward",
             ragged ? "ragged" : "dense", (long long)batch, (long long)length, (long long)s->q_heads, (long long)s->kv_heads,
             (long long)s->head_dim);
    ft_cudnn_graph_init(graph, &attention->cudnn, name);
    ft_cudnn_nodes nodes = {.graph = graph, .shape = &shape, .bind = bind};
    (pass == FT_PASS_BACKWARD ? ft_cudnn_backward_nodes : ft_cudnn_forward_nodes)(&nodes);
}

static ft_status make(ft_cudnn_attention *attention, ft_pass pass, ft_cudnn_ld ld, bool ragged, int64_t batch,
                      ft_attention_plan *out)
{
    ft_cudnn_graph graph;
    memset(out, 0, sizeof *out);
    make_graph(attention, pass, ld, ragged, batch, &graph, out->bind);
    ft_status status = ft_cudnn_plan_make(&out->plan, &graph, attention->handle);
    ft_cudnn_graph_free(&graph);
    if (status == FT_OK) status = check_workspace(attention, pass, out, ragged);
    if (status == FT_OK) out->batch = batch;
    else ft_cudnn_plan_free(&out->plan);
    return status;
}

static ft_status supported(ft_cudnn_attention *attention, ft_pass pass, ft_cudnn_ld ld, bool ragged, int64_t batch)
{
    ft_cudnn_graph graph;
    ft_cudnn_tensor bind[FT_BIND_COUNT] = {0};
    make_graph(attention, pass, ld, ragged, batch, &graph, bind);
    ft_status status = ft_cudnn_graph_supported(&graph, attention->handle);
    ft_cudnn_graph_free(&graph);
    return status;
}

// Backward refuses documents of one slot in a dense plan; ragged ones take them.
int64_t ft_attention_dense_batch(const ft_op_shape *shape)
{
    return shape->max_length > 1 && shape->rows % shape->max_length == 0 ? shape->rows / shape->max_length : 0;
}

int ft_attention_bucket(int64_t n)
{
    int bucket = 0;
    while ((int64_t)1 << bucket < n) bucket++;
    return bucket;
}

ft_status ft_attention_plan_get(ft_cudnn_attention *attention, ft_pass pass, ft_cudnn_ld ld, int bucket,
                                const ft_attention_plan **out)
{
    ft_attention_plans *plans = &attention->plans[pass];
    if (memcmp(&plans->ld, &ld, sizeof ld) != 0) {
        ft_attention_plans_free(plans);
        plans->ld = ld;
    }
    ft_attention_plan *plan = bucket < 0 ? &plans->dense : &plans->ragged[bucket];
    const int64_t batch = bucket < 0 ? ft_attention_dense_batch(&attention->shape) : (int64_t)1 << bucket;
    if (plan->batch == 0) FT_TRY(make(attention, pass, ld, bucket >= 0, batch, plan));
    *out = plan;
    return FT_OK;
}

ft_status ft_attention_plans_make(ft_cudnn_attention *attention, ft_pass pass, ft_cudnn_ld ld)
{
    const ft_attention_plan *plan;
    const int last = attention->ragged ? ft_attention_bucket(attention->shape.max_docs) : -1;
    for (int bucket = ft_attention_dense_batch(&attention->shape) ? -1 : 0; bucket <= last; bucket++)
        FT_TRY(ft_attention_plan_get(attention, pass, ld, bucket, &plan));
    return FT_OK;
}

ft_status ft_attention_plans_probe(ft_cudnn_attention *attention, ft_pass pass)
{
    const ft_op_shape *s = &attention->shape;
    const int64_t o = s->q_heads * s->head_dim, qkv = o + 2 * s->kv_heads * s->head_dim;
    const int64_t dense = ft_attention_dense_batch(s), most = ft_cudnn_max_batch(s->max_docs);
    const ft_cudnn_ld ld = {.qkv = qkv, .o = o, .d_o = o, .dqkv = qkv};
    if (dense) FT_TRY(supported(attention, pass, ld, false, dense));
    if (attention->ragged && pass == FT_PASS_BACKWARD) return supported(attention, pass, ld, true, most);
    if (pass == FT_PASS_BACKWARD) return FT_OK;
    ft_attention_plan plan;
    FT_TRY(make(attention, pass, ld, attention->ragged, attention->ragged ? most : dense, &plan));
    ft_cudnn_plan_free(&plan.plan);
    return FT_OK;
}

void ft_attention_plans_free(ft_attention_plans *plans)
{
    ft_cudnn_plan_free(&plans->dense.plan);
    for (int i = 0; i < FT_CUDNN_BUCKETS; i++) ft_cudnn_plan_free(&plans->ragged[i].plan);
    memset(plans, 0, sizeof *plans);
}
