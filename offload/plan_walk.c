// The steady sweep as a walk through its visits: when each load can start and end, and when each visit can. The device does one
// visit after the other; a load waits for the link and for the visit that leaves its slot; a visit waits for its load. What a
// maximum over resources cannot see comes out by itself: around a turn every slot holds a layer that is used next, so the link
// stands still from the last load until the first slot is left (last forward visit, head, first backward visit), and the same
// between steps (optimizer, embedding); and a few long visits hide loads of their neighbours, not all of them.
#include <string.h>

#include "offload/plan_internal.h"

#define MAX_SLOTS 64

typedef struct {
    const ft_plan *plan;
    double device, link, reader, gather, writer;  // when each is free
    double slot[MAX_SLOTS], ring[MAX_SLOTS];      // when each may be filled
    double written[2];                            // when the spilled input in either half of the stream is out
    double fetched;                               // when the spilled inputs asked for last are there
    double form;
    double last_batch;                            // when the last micro-batch of the visit before began
    const ft_visit *before;
} walk;

static double max2(double a, double b)
{
    return a > b ? a : b;
}

bool ft_plan_stands(const ft_plan *plan, const ft_visit *before, const ft_visit *visit)
{
    return before != NULL && before->layer == visit->layer && !plan->cost[visit->layer].in_place;
}

void ft_plan_visit_work(const ft_plan *plan, const ft_visit *visit, bool standing, ft_plan_work *form, ft_plan_work *batches)
{
    const ft_plan_cost *cost = &plan->cost[(plan->activation.keeps_inputs ? plan->layout.shape.layers : 0) + visit->layer];
    bool resident = visit->layer < plan->resident_forms, forward = visit->direction == FT_FORWARD;
    *form = *batches = (ft_plan_work){0};
    if (!resident && !standing) ft_plan_work_add(form, &cost->form[visit->direction], 1);
    if (!resident || forward) ft_plan_work_add(form, &cost->adapter, 1);
    ft_plan_work_add(batches, forward ? &cost->forward : &cost->backward, plan->micro_batches);
    if (!forward && !plan->keep[visit->layer]) ft_plan_work_add(batches, &cost->again, plan->micro_batches);
}

// Seconds a byte takes over the link in a phase, whatever else runs over it or over host memory then.
static double per_byte(const ft_plan_phase *phase, ft_resource resource)
{
    return phase->amount[resource] > 0 ? phase->seconds[resource] / phase->amount[resource] : 0;
}

// When the visit's bytes are there.
static double load(walk *w, const ft_visit *visit, const ft_plan_phase *phase)
{
    const ft_plan *plan = w->plan;
    double bytes = (double)plan->layout.record[visit->layer].bytes, gpus = plan->request.gpus, ready = 0;
    if (visit->load) {
        double link = max2(bytes / gpus * per_byte(phase, FT_RESOURCE_H2D), bytes * per_byte(phase, FT_RESOURCE_DRAM));
        double end = max2(w->link, w->slot[visit->slot]) + link;
        if (visit->host_slot >= 0) {
            w->reader = max2(w->reader, w->ring[visit->host_slot]) + bytes / ft_plan_nvme_read(plan);
            end = w->ring[visit->host_slot] = max2(end, w->reader);
        }
        w->link = ready = end;
    }
    if (gpus > 1) w->gather = ready = max2(w->gather + bytes * (gpus - 1) / gpus / plan->machine.gather, ready);
    return ready;
}

static bool spilled(const ft_plan *plan, int64_t layer)
{
    return plan->request.train && layer < plan->layout.shape.layers && plan->boundary_home[layer] != FT_TIER_HBM;
}

// Seconds the inputs of one layer take out of the device or into it. The drives have those of all devices.
static double input_seconds(const ft_plan *plan, int64_t layer, ft_direction direction)
{
    bool out = direction == FT_FORWARD;
    double bytes = (double)plan->micro_batches * (double)plan->activation.boundary_bytes;
    double link = bytes * per_byte(out ? &plan->forward : &plan->backward, out ? FT_RESOURCE_D2H : FT_RESOURCE_H2D);
    return plan->boundary_home[layer] == FT_TIER_NVME ? max2(link, bytes * plan->request.gpus / ft_plan_spill_rate(plan, direction)) : link;
}

// The output of a forward visit is the input of the next layer. It leaves micro-batch by micro-batch, from one half of the
// stream while the next visit fills the other.
static void store(walk *w, int64_t layer, double begin, double seconds)
{
    if (!spilled(w->plan, layer)) return;
    double first = seconds / (double)w->plan->micro_batches;
    w->writer = max2(w->writer, begin + first) + input_seconds(w->plan, layer, FT_FORWARD);
    w->written[layer & 1] = w->writer;
}

// Spilled inputs come back beside the loads, a few uses ahead, once all are out: what left last comes first. When the last is there.
static double fetch(walk *w, int64_t layer)
{
    if (!spilled(w->plan, layer)) return 0;
    double seconds = input_seconds(w->plan, layer, FT_BACKWARD);
    w->fetched = max2(max2(w->last_batch, w->writer), w->fetched) + seconds;
    w->link = max2(w->link, w->fetched - seconds) + seconds;
    return w->fetched;
}

static void visit(walk *w, const ft_visit *v)
{
    const ft_plan *plan = w->plan;
    bool forward = v->direction == FT_FORWARD;
    const ft_plan_phase *phase = forward ? &plan->forward : &plan->backward;
    ft_plan_work form, work;
    ft_plan_visit_work(plan, v, ft_plan_stands(plan, w->before, v), &form, &work);
    double begin = max2(w->device, load(w, v, phase)), form_seconds = ft_plan_work_seconds(&form);
    double seconds = ft_plan_work_seconds(&work), end = begin + form_seconds + seconds;
    if (forward) {
        double last = seconds / (double)plan->micro_batches;
        if (spilled(plan, v->layer + 1)) end = max2(end, w->written[(v->layer + 1) & 1] + last);
        store(w, v->layer + 1, end - seconds, seconds);
        w->form += form_seconds;
    } else {
        end = max2(end, fetch(w, v->layer));
    }
    w->last_batch = end - seconds / (double)plan->micro_batches;
    if (v->slot >= 0) w->slot[v->slot] = plan->cost[v->layer].in_place ? end : begin + form_seconds;
    w->device = end;
    w->before = v;
}

// The device reads rows where the table is: in its own memory or over the link. From NVMe they come through host memory.
static double embed_seconds(const ft_plan *plan)
{
    const ft_shape *shape = &plan->layout.shape;
    double values = (double)plan->micro_batches * (double)plan->micro_batch_tokens * (double)shape->hidden;
    double rows = values * (double)ft_dtype_bytes(shape->dtype), made = values * (double)ft_repr_bytes(plan->repr);
    ft_tier home = (ft_tier)plan->home[ft_layout_embed(&plan->layout)];
    double seconds = (rows + made) / plan->machine.hbm;
    if (home != FT_TIER_HBM && plan->machine.device != FT_DEVICE_CPU) seconds += rows / plan->machine.h2d;
    return home == FT_TIER_NVME ? seconds + rows / ft_plan_nvme_read(plan) : seconds;
}

static void sweep(walk *w, ft_plan_elapsed *elapsed)
{
    const ft_plan *plan = w->plan;
    bool train = plan->request.train;
    ft_sweep_mode mode = train ? FT_SWEEP_TRAIN : FT_SWEEP_EVALUATE;
    int64_t layers = plan->layout.shape.layers;
    elapsed->embed = embed_seconds(plan);
    w->form = 0;
    double begin = w->device += elapsed->embed;
    for (int64_t i = 0; i < layers; i++) visit(w, &plan->steady[mode][i]);
    elapsed->forward = w->device - begin;
    elapsed->form = w->form;
    elapsed->head = ft_plan_head_seconds(plan) * (double)plan->micro_batches;
    begin = w->device += elapsed->head;
    for (int64_t i = layers; i < plan->n_visits[mode]; i++) visit(w, &plan->steady[mode][i]);
    elapsed->backward = w->device - begin;
}

// Twice, so that the second finds the slots as a sweep leaves them. Where a step is one sweep the optimizer stands between them.
void ft_plan_walk(const ft_plan *plan, ft_plan_elapsed *elapsed)
{
    walk w = {.plan = plan};
    sweep(&w, elapsed);
    if (plan->sweeps == 1) w.device += plan->optimizer_seconds;
    sweep(&w, elapsed);
}
