// A step's use of the link beside independent copies that run with its products.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bench/link_stream.h"
#include "bench/step_links.h"
#include "common/threads.h"

#define M ((int64_t)1 << 20)

static void done(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static void a_stream_copies_from_start_to_stop(void **state)
{
    static const unsigned directions[] = {FT_LINK_IN, FT_LINK_OUT};
    ft_device *device;
    done(ft_device_open(&device, "cpu", 0));
    for (int i = 0; i < 2; i++) {
        ft_link_stream *stream;
        done(ft_link_stream_open(&stream, device, directions[i], 8 * M, 4 * M, M));
        assert_int_equal(ft_link_stream_bytes(stream), 0);
        for (int64_t before = 0, round = 0; round < 3; round++) {
            ft_link_stream_start(stream);
            while (ft_link_stream_bytes(stream) < before + 20 * M) usleep(1000);
            done(ft_link_stream_stop(stream));
            before = ft_link_stream_bytes(stream);
            assert_int_equal(before % M, 0);
            usleep(5000);
            assert_int_equal(ft_link_stream_bytes(stream), before);
        }
        ft_link_stream_start(stream);
        ft_link_stream_close(stream);
    }
    ft_device_close(device);
}

static double value_of(const ft_bench_report *report, const char *name, const char *key)
{
    size_t i;
    json_t *row;
    json_array_foreach(report->array, i, row)
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0) return json_real_value(json_object_get(row, key));
    fail_msg("no result is called %s", name);
    return 0;
}

static void copies_and_products_are_timed_beside_each_other(void **state)
{
    const ft_timed_product products[] = {{false, FT_REPR_F32, 128, 256, 512, 6}, {true, FT_REPR_F32, 128, 512, 256, 2}};
    const ft_step_work work = {.products = products, .n_products = 2, .ops = {.rows = 128, .train = true}};
    ft_rig rig;
    ft_step_links links;
    done(ft_threads_init(2));
    done(ft_rig_open(&rig, "cpu"));
    done(ft_step_links_measure(&rig, &work, &links));
    ft_rig_close(&rig);
    const double rates[] = {links.gemm_alone, links.gemm_h2d, links.gemm_both, links.h2d_alone, links.both_alone, links.h2d, links.both};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (!(rates[i] > 0 && isfinite(rates[i]))) fail_msg("rate %zu is %g", i, rates[i]);
    assert_true(links.loss_h2d < 1 && links.loss_both < 1);
    ft_threads_shutdown();
}

static void a_step_is_held_against_what_copies_reach_beside_its_products(void **state)
{
    const ft_step_links links = {.gemm_alone = 700e12, .gemm_h2d = 693e12, .gemm_both = 686e12, .h2d_alone = 55e9, .both_alone = 92e9, .h2d = 50e9,
                                 .both = 80e9, .loss_h2d = 0.01, .loss_both = 0.02};
    const ft_step_traffic step = {.seconds = 2, .bytes_h2d = 96e9, .bytes_d2h = 48e9, .busy_h2d_s = 1.95, .busy_d2h_s = 1.6};
    const ft_step_traffic unmetered = {.seconds = 2, .bytes_h2d = 96e9};
    ft_bench_report report = {.json = true, .command = "ft-bench step", .array = json_array()};
    ft_step_links_add(&report, &links, &step);
    assert_true(fabs(value_of(&report, "products beside h2d copies", "ratio_bound") - 0.99) < 1e-9);
    assert_true(fabs(value_of(&report, "products lose to copies both ways", "value") - 2) < 1e-9);
    assert_true(fabs(value_of(&report, "step: h2d over all of it", "ratio_bound") - 48.0 / 50) < 1e-9);
    assert_true(fabs(value_of(&report, "step: h2d while it copied", "value") - 96 / 1.95) < 1e-9);
    assert_true(fabs(value_of(&report, "step: both ways over all of it", "ratio_bound") - 72.0 / 80) < 1e-9);
    assert_true(fabs(value_of(&report, "step: both ways while it copied", "value") - (96 / 1.95 + 48 / 1.6)) < 1e-9);
    size_t all = json_array_size(report.array);
    json_array_clear(report.array);
    ft_step_links_add(&report, &links, &unmetered);
    assert_int_equal(json_array_size(report.array), all - 3);
    json_decref(report.array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_stream_copies_from_start_to_stop),
                                       cmocka_unit_test(copies_and_products_are_timed_beside_each_other),
                                       cmocka_unit_test(a_step_is_held_against_what_copies_reach_beside_its_products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
