#include "doctor/cross_host.h"

#include <stdlib.h>
#include <string.h>

#define CLOCK_SECONDS 1.0

// A fact of check.h, and what a difference means.
static const struct {
    const char *fact, *verdict, *remedy;
} rows[] = {
    {"ft-single", "FAIL", "install the same version and build on all hosts"},
    {"CUDA", "FAIL", "install the same build on all hosts"},
    {"driver", "note", "install the same NVIDIA driver on all hosts"},
    {"cuBLASLt", "note", "install the same version on all hosts: results differ in their last bits, and speeds may"},
    {"cuDNN", "note", "install the same version on all hosts: results differ in their last bits, and speeds may"},
    {"NCCL", "FAIL", "install the same version on all hosts: two versions do not talk to each other reliably"},
    {"GPU count", "FAIL", "use hosts with as many GPUs, or hide some with CUDA_VISIBLE_DEVICES"},
    {"GPUs", "note", "use hosts of one kind: the slowest GPU sets the pace of all"},
    {"host memory", "note", "budgets follow the smallest: give --host-budget, or use hosts of one kind"},
    {"drives", "FAIL", "make the same directories usable on all hosts"},
    {"model", "FAIL", "put the same model at the same path on all hosts"},
};

static bool was_reached(const json_t *host)
{
    return json_is_number(json_object_get(host, "time"));
}

static const char *fact_of(const json_t *host, const char *fact)
{
    const char *text = ft_findings_text(json_object_get(host, "facts"), fact);
    return *text ? text : "none";
}

static int count_reached(const json_t *all)
{
    size_t i;
    int n = 0;
    json_t *host;
    json_array_foreach(all, i, host) n += was_reached(host);
    return n;
}

static bool says_the_same(const json_t *one, const json_t *other, const char *fact)
{
    return was_reached(one) && strcmp(fact_of(one, fact), fact_of(other, fact)) == 0;
}

// "0.1.0 on a, b; 0.2.0 on c", and how many different values there are.
static int describe(const json_t *all, const char *fact, ft_text *out)
{
    int values = 0;
    size_t n = json_array_size(all);
    for (size_t i = 0; i < n; i++) {
        const json_t *host = json_array_get(all, i);
        bool seen = !was_reached(host);
        for (size_t k = 0; k < i && !seen; k++) seen = says_the_same(json_array_get(all, k), host, fact);
        if (seen) continue;
        ft_text_printf(out, "%s%s on %s", values++ ? "; " : "", fact_of(host, fact), ft_findings_text(host, "host"));
        for (size_t k = i + 1; k < n; k++) {
            const json_t *other = json_array_get(all, k);
            if (says_the_same(other, host, fact)) ft_text_printf(out, ", %s", ft_findings_text(other, "host"));
        }
    }
    return values;
}

static void check_facts(json_t *report, const json_t *all)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ft_text text = {0};
        int values = describe(all, rows[i].fact, &text);
        const char *first = NULL;
        for (size_t k = 0; k < json_array_size(all) && first == NULL; k++)
            if (was_reached(json_array_get(all, k))) first = fact_of(json_array_get(all, k), rows[i].fact);
        if (values > 1) ft_findings_row(report, "alike", rows[i].fact, rows[i].verdict, rows[i].remedy, "%.900s", text.data);
        else if (first && strcmp(first, "none") != 0) ft_findings_row(report, "alike", rows[i].fact, "ok", NULL, "%.900s", first);
        ft_text_free(&text);
    }
}

static void check_clocks(json_t *report, const json_t *all)
{
    size_t i;
    json_t *host;
    double least = 1e300, most = -1e300;
    const char *behind = "", *ahead = "";
    json_array_foreach(all, i, host) {
        if (!was_reached(host)) continue;
        double offset = json_number_value(json_object_get(host, "clock_offset"));
        if (offset < least) {
            least = offset;
            behind = ft_findings_text(host, "host");
        }
        if (offset > most) {
            most = offset;
            ahead = ft_findings_text(host, "host");
        }
    }
    if (most - least > CLOCK_SECONDS)
        ft_findings_row(report, "alike", "clocks", "note", "timedatectl set-ntp true on both: logs and file times are compared", "%s is %.1f s ahead of %s",
                        ahead, most - least, behind);
    else
        ft_findings_row(report, "alike", "clocks", "ok", NULL, "within %.1f s", CLOCK_SECONDS);
}

static void check_slots(json_t *report, const json_t *all, const ft_hosts *hosts)
{
    for (int i = 0; i < hosts->n; i++) {
        const json_t *host = json_array_get(all, (size_t)i);
        int gpus = atoi(fact_of(host, "GPU count"));
        if (was_reached(host) && gpus > 0 && hosts->host[i].slots > gpus)
            ft_findings_row(report, "alike", "slots", "note", "write slots=N with the number of GPUs", "%s: slots=%d, and %d GPUs", hosts->host[i].name,
                            hosts->host[i].slots, gpus);
    }
}

void ft_cross_host_check(json_t *report, const ft_hosts *hosts)
{
    const json_t *all = json_object_get(report, "hosts");
    check_slots(report, all, hosts);
    if (count_reached(all) < 2) return;
    check_facts(report, all);
    check_clocks(report, all);
}
