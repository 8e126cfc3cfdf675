// ft-bench step: optimizer steps of LoRA on a random model of any geometry, opened the way `train` opens it.
//
//   useful      FLOPs the mathematics asks for: forward and dX of every frozen linear, LoRA, causal attention, the head
//   executed    useful, and what recomputation adds
//   limit       what is executed, at the rates this run measures for each part alone (bench/op_cost.h)
// Throughput is the median over steps after warm-up, by the clock on the wall, without clocks around ops; one more step has those,
// unless there is to be no profile. What the steps moved stands beside what the plan says of it (bench/step_moved.h).
#include <time.h>

#include "bench/step_moved.h"
#include "bench/step_report.h"
#include "common/log.h"

static double useful_flops(const ft_bench_training *t)
{
    const ft_shape *shape = &t->session.shape;
    const ft_adapter_layout *adapter = &t->session.adapter;
    double frozen = (double)(shape->layers * ft_shape_layer_parameters(shape)), lora = (double)ft_lora_parameters(shape, adapter->r, adapter->targets);
    double tokens = (double)(t->tokens * t->n_batches), trained = (double)(t->trained * t->n_batches);
    double length = (double)t->settings->values.sequence_len, pairs = tokens * (length + 1) / 2;
    double attention = 2 * 7 * pairs * (double)(shape->layers * shape->q_heads * shape->head_dim);
    // The first layer's q, k and v need no dX, nor LoRA's share of it.
    int64_t out, in, first = 0;
    for (int linear = FT_LINEAR_Q; linear <= FT_LINEAR_V; linear++) {
        ft_shape_linear(shape, (ft_linear)linear, &out, &in);
        first += out * in + (adapter->targets >> linear & 1 ? adapter->r * in : 0);
    }
    return 4 * tokens * frozen - 2 * tokens * (double)first + 6 * tokens * lora + attention + 4 * trained * (double)(shape->vocab * shape->hidden);
}

// Layers of the named geometry, whatever --layers says; 0 without a name.
static int64_t all_layers(const ft_bench_options *options)
{
    ft_shape shape;
    if (options->geometry == NULL || ft_shape_geometry(&shape, options->geometry) != FT_OK) return 0;
    return shape.layers;
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

// One step with clocks around the ops.
static ft_status profile_step(ft_bench_training *t, ft_step_report *r)
{
    double loss;
    FT_TRY(ft_timed_start(ft_model_queue(t->model)));
    double start = ft_now_s(), cpu_start = cpu_seconds();
    ft_status status = ft_bench_training_step(t, &loss);
    r->profile_seconds = r->kind == FT_DEVICE_CPU ? cpu_seconds() - cpu_start : ft_now_s() - start;
    ft_status stopped = ft_timed_stop();
    return status == FT_OK ? stopped : status;
}

// Too little memory for copies beside the products must not cost what was measured before.
static ft_status measure_links(ft_rig *rig, const ft_step_work *work, ft_step_links *links)
{
    ft_status status = ft_step_links_measure(rig, work, links);
    if (status != FT_E_INPUT && status != FT_E_NOMEM) return status;
    ft_warn("--links: %s", ft_error_message());
    *links = (ft_step_links){0};
    return FT_OK;
}

static ft_status measure_rates(ft_bench_training *t, ft_rig *rig, const ft_step_work *work, ft_step_report *r)
{
    FT_TRY(ft_step_bound_measure(rig, work, t->options->repeat, &r->bound));
    return t->options->links ? measure_links(rig, work, &r->links) : FT_OK;
}

// Rates of the parts, once the model has left the device.
static ft_status measure_bound(ft_bench_training *t, ft_step_report *r)
{
    const ft_config *c = &t->settings->values;
    const char *table = t->session.gemm_table;
    ft_step_work work = {.sums = ft_timed_sums(), .sequence_len = c->sequence_len,
                         .ops = {.attention = ft_layer_attention(&t->session.shape), .rows = c->micro_batch_size * c->sequence_len,
                                 .max_length = c->sequence_len, .max_docs = c->micro_batch_size, .train = true,
                                 .deterministic = c->deterministic, .gemm_table = table[0] ? table : NULL}};
    work.products = ft_timed_products(&work.n_products);
    ft_rig rig;
    ft_status status = ft_rig_attach(&rig, t->session.device);
    if (status == FT_OK) {
        status = measure_rates(t, &rig, &work, r);
        ft_rig_close(&rig);
    }
    return status;
}

// The step with clocks, and what bounds it.
static ft_status measure_parts(ft_bench_training *t, ft_step_report *r)
{
    if (t->options->no_profile) return FT_OK;
    FT_TRY(profile_step(t, r));
    FT_TRY(ft_device_memory_used(t->session.device, &r->used_bytes));
    ft_bench_training_close_model(t);
    r->profiled = true;
    return measure_bound(t, r);
}

static void add_links(const ft_bench_training *t, ft_bench_report *report, const ft_step_report *r, const ft_step_measured *m)
{
    const ft_step_traffic step = {.seconds = m->seconds, .bytes_h2d = m->bytes_h2d, .bytes_d2h = m->bytes_d2h,
                                  .busy_h2d_s = m->spent.h2d_s, .busy_d2h_s = m->spent.d2h_s};
    if (r->links.gemm_alone > 0) ft_step_links_add(report, &r->links, &step);
}

// The step as a whole, its parts, and what it moved.
static ft_status report_steps(ft_bench_training *t, ft_bench_report *report, const ft_step_measured *steps, const char *table)
{
    const ft_device_info *info = ft_device_get_info(t->session.device);
    ft_step_report r = {.kind = info->kind, .tokens = (double)steps->tokens, .useful_flops = useful_flops(t), .seconds = steps->seconds,
                        .cpu_seconds = steps->cpu_seconds, .loss = steps->loss, .layers = t->session.shape.layers, .all_layers = all_layers(t->options),
                        .planned_bytes = t->session.plan.tier_bytes[FT_TIER_HBM] + info->context_bytes};
    FT_TRY(ft_device_memory_used(t->session.device, &r.used_bytes));
    FT_TRY(measure_parts(t, &r));
    ft_step_report_add(report, &r);
    ft_step_moved_add(report, t, steps);
    ft_bench_report_note(report, table);
    ft_step_report_add_parts(report, &r);
    add_links(t, report, &r, steps);
    return FT_OK;
}

static ft_status measure(ft_bench_training *t, ft_bench_report *report)
{
    ft_step_measured steps;
    ft_text table = {0};
    ft_bench_report_device(report, ft_device_get_info(t->session.device));
    FT_TRY(ft_step_run(t, &steps));
    ft_status status = ft_meter_report(ft_model_meter(t->model), &t->session.plan, &table);
    if (status == FT_OK) status = report_steps(t, report, &steps, table.data);
    ft_text_free(&table);
    return status;
}

ft_status ft_bench_step(const ft_bench_options *options, ft_bench_report *report)
{
    ft_bench_training training;
    if (options->curve) return ft_bench_curve(options, report);
    if (options->links && options->no_profile) return ft_error(FT_E_USAGE, "step: --links plays the products that the profile lists; drop --no-profile");
    ft_status status = ft_bench_training_open(&training, options, 0);
    if (status == FT_OK) status = measure(&training, report);
    ft_bench_training_close(&training);
    return status;
}
