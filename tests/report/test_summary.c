// The numbers of the summary against ones worked out by hand, and the sentences of the findings.
#include "report/t_report.h"

static void the_numbers_are_those_of_the_lines(void **state)
{
    ft_text lines = {0};
    ft_report report;
    t_eval(&lines, 0, 4);
    for (int step = 1; step <= 12; step++) t_step(&lines, step, step == 5 ? NAN : 13 - step);  // 12 .. 1 without the 8
    t_eval(&lines, 6, 2);
    t_eval(&lines, 12, 2.5);
    t_metrics("run", &lines);
    t_write("run", "plan.json", T_PLAN);
    t_read(&report, "run");
    const ft_report_summary *s = &report.entry[0].summary;
    t_near(s->steps, 12);
    t_near(s->epochs, 1.2);
    t_near(s->tokens, 1200);
    t_near(s->trained_tokens, 480);
    t_near(s->step_sum_s, 24);
    t_near(s->wall_s, 24);                // 1024 - 1002 + the first step's 2
    t_near(s->window, 10);
    t_near(s->loss_first, 12);
    t_near(s->loss_last, (78 - 8 - 12) / 10.0);  // the last ten finite ones: 11 + 10 + 9 + 7 + ... + 1
    t_near(s->loss_least, s->loss_last);
    t_near(s->loss_least_step, 12);
    t_near(s->eval_first, 4);
    t_near(s->eval_best, 2);
    t_near(s->eval_best_step, 6);
    t_near(s->eval_last, 2.5);
    t_near(s->tokens_per_s, 50);
    t_near(s->step_s, 2);
    t_near(s->plan_ratio, 0.75);          // 1.5 s planned, 2 s taken
    t_near(s->compute_share, 0.5);
    t_near(s->stall_share, 0.25);         // 0.5 s of 2 s
    t_near(s->stall_nvme_share, 0.15);
    t_near(s->skipped, 1);
    assert_string_equal(report.entry[0].run.drive[s->worst_drive], "/nvme0");  // eight steps of twelve
    t_near(s->worst_drive_s, 8 * 0.3);
    ft_report_free(&report);
}

static void links_stand_beside_the_plan(void **state)
{
    ft_report report;
    t_read(&report, "run");
    const ft_report_summary *s = &report.entry[0].summary;
    const ft_report_traffic *h2d = &s->link[FT_LINK_H2D], *nvme = &s->link[FT_LINK_NVME];
    t_near(h2d->moved, 6000);
    t_near(h2d->planned, 2 * 3000);       // two sweeps
    t_near(h2d->rate, 6000 / (0.25 * 2));
    t_near(h2d->planned_rate, 3000);      // bytes of a sweep over its second
    t_near(h2d->busy, 0.25);
    t_near(nvme->planned, 4000);
    t_near(nvme->planned_rate, 1000);
    assert_true(isnan(s->link[FT_LINK_D2H].rate));
    t_near(s->planned[FT_HOME_HBM], 1100);
    t_near(s->limit[FT_HOME_NVME], 10000);
    t_near(s->planned_pinned, 500);       // the host's less the process
    t_near(s->hbm_peak, 1000);
    ft_report_free(&report);
}

static void medians_pass_over_what_is_not_finite(void **state)
{
    double odd[] = {5, NAN, 1, 3}, even[] = {4, 1, 2, 100}, none[] = {NAN};
    t_near(ft_report_median(odd, 4), 3);
    t_near(ft_report_median(even, 4), 3);
    assert_true(isnan(ft_report_median(none, 1)));
}

static bool has(const ft_report *report, const char *rule, const char *part)
{
    const ft_report_findings *findings = &report->entry[0].findings;
    for (int i = 0; i < findings->n; i++)
        if (strcmp(findings->finding[i].rule, rule) == 0) return strstr(findings->finding[i].text.data, part) != NULL;
    return false;
}

static void what_is_odd_is_said(void **state)
{
    ft_report report;
    t_read(&report, "run");
    assert_true(has(&report, "non_finite", "1 step with a loss or gradient that is not finite, first at step 5"));
    assert_true(has(&report, "eval_rises", "best at step 6 (2.0000) and rose to 2.5000"));
    assert_true(has(&report, "waiting", "25.0 % of the time"));
    assert_true(has(&report, "waiting", "/nvme0"));
    assert_true(has(&report, "slower_than_planned", "1.33 times"));
    assert_false(has(&report, "loss_spikes", ""));
    assert_false(has(&report, "divergence", ""));
    assert_false(has(&report, "no_plan", ""));
    ft_report_free(&report);
}

static void a_spike_stands_out_and_noise_does_not(void **state)
{
    ft_text lines = {0};
    ft_report report;
    for (int step = 1; step <= 100; step++) t_step(&lines, step, step == 70 ? 5.0 : 2 + 0.1 * (step % 7));
    t_metrics("spike", &lines);
    t_read(&report, "spike");
    assert_true(has(&report, "loss_spikes", "1 step stands out of those before, most at step 70 (5.0000 after about 2.3000)"));
    assert_true(has(&report, "no_plan", "no plan.json"));
    ft_report_free(&report);
}

static void divergence_drift_and_pauses_are_told(void **state)
{
    ft_text lines = {0};
    ft_report report;
    for (int step = 1; step <= 40; step++)
        t_ok(ft_text_printf(&lines, "{\"kind\":\"step\",\"time\":%d,\"step\":%d,\"loss\":%d,\"grad_norm\":1,\"step_s\":1,\"tokens_per_s\":%d}\n",
                            step + (step > 20 ? 7200 : 0), step, step, step > 30 ? 80 : 100));
    t_metrics("drift", &lines);
    t_read(&report, "drift");
    assert_true(has(&report, "divergence", "(35.5000 after 1.0000)"));
    assert_true(has(&report, "speed_drift", "20 % slower over the run: 100 tokens/s in the first quarter, 80 in the last"));
    assert_true(has(&report, "pauses", "1 pause between steps"));
    assert_true(has(&report, "pauses", "2h 00m before step 21"));
    ft_report_free(&report);
}

static void json_has_every_fact_and_null_where_it_is_not_known(void **state)
{
    ft_report report;
    t_read(&report, "drift");
    json_t *json = ft_report_json(&report), *run = json_array_get(json_object_get(json, "runs"), 0);
    for (size_t f = 0; f < ft_report_fact_count; f++) assert_non_null(json_object_get(run, ft_report_facts[f].key));
    t_near(json_number_value(json_object_get(run, "loss_first")), 1);
    assert_true(json_is_null(json_object_get(run, "plan_step_s")));
    json_decref(json);
    ft_report_free(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_those_of_the_lines),
        cmocka_unit_test(links_stand_beside_the_plan),
        cmocka_unit_test(medians_pass_over_what_is_not_finite),
        cmocka_unit_test(what_is_odd_is_said),
        cmocka_unit_test(a_spike_stands_out_and_noise_does_not),
        cmocka_unit_test(divergence_drift_and_pauses_are_told),
        cmocka_unit_test(json_has_every_fact_and_null_where_it_is_not_known),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
