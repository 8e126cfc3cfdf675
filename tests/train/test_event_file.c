// The bytes of an event file: checksums, records, and what a reader finds in them.
#include "train/event_reader.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static char directory[] = "/tmp/ft-event-XXXXXX";
static char path[64];

static int setup(void **state)
{
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/file", directory);
    return 0;
}

static int teardown(void **state)
{
    return ft_remove_tree(directory) == FT_OK ? 0 : -1;
}

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

// RFC 3720, B.4, and the catalogue's check value.
static void crc32c_is_castagnoli(void **state)
{
    uint8_t zeros[32] = {0}, ones[32], up[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++) up[i] = (uint8_t)i;
    assert_int_equal(ft_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(ft_crc32c(zeros, 32), 0x8a9136aa);
    assert_int_equal(ft_crc32c(ones, 32), 0x62a8ab43);
    assert_int_equal(ft_crc32c(up, 32), 0x46dd794e);
    assert_int_equal(ft_crc32c("", 0), 0);
    assert_int_equal(ft_crc32c_masked("", 0), 0xa282ead8);
}

// The first record of any TensorBoard file, as TensorFlow writes it: 24 bytes of event, of which the time is 0 here.
static void the_first_record_is_the_version(void **state)
{
    static const uint8_t want[] = {0x1a, 13, 'b', 'r', 'a', 'i', 'n', '.', 'E', 'v', 'e', 'n', 't', ':', '2'};
    ft_event_file *file;
    char *data;
    size_t bytes;
    ok(ft_event_file_create(&file, path, 0));
    ok(ft_event_file_close(file));
    ok(ft_file_read(path, 4096, &data, &bytes));
    assert_int_equal(data[0], 9 + 2 + sizeof want);  // wall_time, step, version
    assert_memory_equal(data + 12 + 11, want, sizeof want);
    ft_free(data);
    assert_int_equal(ft_event_file_create(&file, path, 0), FT_E_IO);  // nothing is written over
    assert_non_null(strstr(ft_error_message(), path));
    unlink(path);
}

static void a_file_starts_a_session(void **state)
{
    ft_event_file *file;
    ok(ft_event_file_create(&file, path, 12.5));
    ok(ft_event_file_close(file));
    read_events all = read_event_file(path);
    assert_int_equal(all.n, 2);
    assert_string_equal(all.events[0].version, "brain.Event:2");
    assert_int_equal(all.events[1].session, 1);
    assert_true(all.events[1].time == 12.5 && all.events[1].step == 0);
    read_events_free(&all);
    unlink(path);
}

static void scalars_come_back_as_float32(void **state)
{
    static const int64_t steps[] = {0, 1, 127, 128, 16384, INT64_C(1) << 40};
    ft_event_file *file;
    ok(ft_event_file_create(&file, path, 0));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        ft_event_scalar scalars[] = {{"train/loss", 1.0 / 3 + (double)i}, {"bytes/hbm", 9e10}, {"train/grad_norm", NAN}};
        ok(ft_event_file_scalars(file, 1e9 + 0.25, steps[i], scalars, 3));
    }
    ok(ft_event_file_close(file));
    read_events all = read_event_file(path);
    assert_int_equal(all.n, 2 + 6);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_true(all.events[2 + i].time == 1e9 + 0.25);
        assert_true(read_scalar(&all, steps[i], "train/loss") == (float)(1.0 / 3 + (double)i));
        assert_true(read_scalar(&all, steps[i], "bytes/hbm") == 9e10f);
        assert_true(isnan(read_scalar(&all, steps[i], "train/grad_norm")));
    }
    read_events_free(&all);
    unlink(path);
}

static void the_largest_event_has_room(void **state)
{
    char tags[FT_EVENT_SCALARS][FT_EVENT_TAG_BYTES];
    ft_event_scalar scalars[FT_EVENT_SCALARS];
    ft_event_file *file;
    for (int i = 0; i < FT_EVENT_SCALARS; i++) {
        snprintf(tags[i], sizeof tags[i], "%0*d", FT_EVENT_TAG_BYTES - 1, i);
        scalars[i] = (ft_event_scalar){tags[i], i};
    }
    ok(ft_event_file_create(&file, path, 0));
    ok(ft_event_file_scalars(file, 1, INT64_MAX, scalars, FT_EVENT_SCALARS));
    ok(ft_event_file_close(file));
    read_events all = read_event_file(path);
    for (int i = 0; i < FT_EVENT_SCALARS; i++) assert_true(read_scalar(&all, INT64_MAX, tags[i]) == (float)i);
    read_events_free(&all);
    unlink(path);
}

static void texts_of_any_length_come_back(void **state)
{
    char *lengthy = ft_malloc(100001);
    memset(lengthy, 'x', 100000);
    lengthy[100000] = 0;
    const char *texts[] = {"", "base_model: /m\nr: 16\n", lengthy};
    ft_event_file *file;
    ok(ft_event_file_create(&file, path, 0));
    for (int i = 0; i < 3; i++) ok(ft_event_file_text(file, 1, i, "config", texts[i]));
    ok(ft_event_file_close(file));
    read_events all = read_event_file(path);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(all.events[2 + i].values[0].tag, "config");
        assert_string_equal(all.events[2 + i].values[0].text, texts[i]);
    }
    read_events_free(&all);
    ft_free(lengthy);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_is_castagnoli),         cmocka_unit_test(the_first_record_is_the_version), cmocka_unit_test(a_file_starts_a_session),
        cmocka_unit_test(scalars_come_back_as_float32), cmocka_unit_test(the_largest_event_has_room),      cmocka_unit_test(texts_of_any_length_come_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
