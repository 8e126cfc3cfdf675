// What plan.json says beside what was measured.
#include <math.h>

#include "report/summary.h"

static void read_memory(ft_report_summary *s, const json_t *memory)
{
    static const char *const tiers[FT_HOME_COUNT] = {"HBM", "host", "NVMe"};
    for (int tier = 0; tier < FT_HOME_COUNT; tier++) {
        const json_t *object = json_object_get(memory, tiers[tier]);
        s->planned[tier] = ft_report_number(object, "bytes");
        s->limit[tier] = ft_report_number(object, "limit");
        if (tier == FT_HOME_HOST) s->planned_pinned = s->planned[tier] - ft_report_known(ft_report_number(json_object_get(object, "lines"), "process"));
    }
}

static void read_link(ft_report_traffic *link, const json_t *plan, const char *resource)
{
    static const char *const phases[] = {"forward", "backward"};
    double bytes = 0, seconds = 0, sweeps = ft_report_number(json_object_get(plan, "run"), "sweeps");
    for (int p = 0; p < 2; p++) {
        const json_t *amounts = json_object_get(json_object_get(json_object_get(plan, phases[p]), "resources"), resource);
        bytes += ft_report_known(ft_report_number(amounts, "amount"));
        seconds += ft_report_known(ft_report_number(amounts, "seconds"));
    }
    link->planned = sweeps * bytes;
    link->planned_rate = seconds > 0 ? bytes / seconds : NAN;
}

void ft_report_plan_numbers(ft_report_summary *s, const json_t *plan)
{
    static const char *const links[FT_LINK_COUNT] = {"h2d", "d2h", "nvme"};
    s->plan_step_s = ft_report_number(plan, "step_seconds");
    s->plan_tokens_per_s = ft_report_number(plan, "tokens_per_s");
    read_memory(s, json_object_get(plan, "memory"));
    for (int l = 0; l < FT_LINK_COUNT; l++) read_link(&s->link[l], plan, links[l]);
}
