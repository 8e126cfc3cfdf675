#include <math.h>

#include "common/json_text.h"
#include "report/report.h"

static json_t *number(double value)
{
    if (!isfinite(value)) return json_null();
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *findings_json(const ft_report_findings *findings)
{
    json_t *list = json_array();
    for (int i = 0; i < findings->n; i++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:o}", "rule", findings->finding[i].rule, "bad", findings->finding[i].bad, "text",
                                              ft_json_any_text(findings->finding[i].text.data)));
    return list;
}

json_t *ft_report_entry_json(const ft_report *report, int run)
{
    const ft_report_entry *entry = &report->entry[run];
    const ft_report_summary *s = &entry->summary;
    ft_text what = {0};
    json_t *json = json_object();
    json_object_set_new(json, "name", ft_json_any_text(entry->run.name));
    json_object_set_new(json, "path", ft_json_any_text(entry->run.path));
    json_object_set_new(json, "state", json_string(ft_report_state(report, run)));
    if (ft_report_describe(&entry->run, &what) == FT_OK) json_object_set_new(json, "what", ft_json_any_text(what.data));
    ft_text_free(&what);
    for (size_t f = 0; f < ft_report_fact_count; f++)
        json_object_set_new(json, ft_report_facts[f].key, number(ft_report_value(&ft_report_facts[f], s)));
    json_object_set_new(json, "worst_drive", s->worst_drive >= 0 ? ft_json_any_text(entry->run.drive[s->worst_drive]) : json_null());
    json_object_set_new(json, "findings", findings_json(&entry->findings));
    return json;
}

json_t *ft_report_json(const ft_report *report)
{
    json_t *runs = json_array();
    for (int i = 0; i < report->n; i++) json_array_append_new(runs, ft_report_entry_json(report, i));
    return json_pack("{s:o}", "runs", runs);
}
