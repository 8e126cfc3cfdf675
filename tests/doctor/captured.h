// A captured machine: a directory with proc/ and sys/ that the checks read in place of this machine's, and the rows they then say.
#ifndef FT_TESTS_DOCTOR_CAPTURED_H
#define FT_TESTS_DOCTOR_CAPTURED_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "doctor/doctor.h"

static char root[64];
static const char *run_device = "auto", *run_engine = "auto";  // of the run that is examined

static inline int make_root(void **state)
{
    snprintf(root, sizeof root, "/tmp/ft-doctor-test-XXXXXX");
    return mkdtemp(root) == NULL;
}

static inline int remove_root(void **state)
{
    return ft_remove_tree(root);
}

static inline char *full_path(const char *path)
{
    static char full[4096];
    snprintf(full, sizeof full, "%s%s", root, path);
    return full;
}

static inline void make_parent(char *full)
{
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(ft_make_directories(full), FT_OK);
    *slash = '/';
}

static inline void put(const char *path, const char *text)
{
    make_parent(full_path(path));
    assert_int_equal(ft_file_write(full_path(path), text, strlen(text)), FT_OK);
}

static inline void put_link(const char *path, const char *target)
{
    make_parent(full_path(path));
    assert_int_equal(symlink(target, full_path(path)), 0);
}

static inline void put_memory(void)
{
    put("/proc/meminfo", "MemTotal:       16384000 kB\nMemAvailable:   15192000 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n"
                         "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
    put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Test CPU\nprocessor\t: 1\nmodel name\t: Test CPU\nprocessor\t: 2\nprocessor\t: 3\n");
}

// Examines the captured machine with these directories of --nvme ("" = none). New reference.
static inline json_t *examine(const char *nvme)
{
    ft_settings settings;
    json_t *report;
    assert_int_equal(ft_settings_init(&settings), FT_OK);
    if (*nvme) assert_int_equal(ft_settings_set(&settings, "nvme", nvme, "--nvme"), FT_OK);
    assert_int_equal(ft_settings_set(&settings, "device", run_device, "--device"), FT_OK);
    assert_int_equal(ft_settings_set(&settings, "io_engine", run_engine, "--io-engine"), FT_OK);
    const ft_doctor_options options = {.settings = &settings, .version = "1.2.3", .root = root, .quick = true};
    assert_int_equal(ft_doctor_run(&options, &report), FT_OK);
    ft_settings_free(&settings);
    return report;
}

static inline const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static inline const json_t *row_of(const json_t *report, const char *check)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(report, "checks"), i, row)
        if (strcmp(text_of(row, "check"), check) == 0) return row;
    return NULL;
}

// The row `check` has this verdict, and `part` stands in what was found. A note and a failure say what to do in one line.
static inline void expect_row(const json_t *report, const char *check, const char *verdict, const char *part)
{
    const json_t *row = row_of(report, check);
    if (row == NULL) fail_msg("no row %s", check);
    if (strcmp(text_of(row, "verdict"), verdict) != 0) fail_msg("%s is %s: %s", check, text_of(row, "verdict"), text_of(row, "found"));
    if (strstr(text_of(row, "found"), part) == NULL) fail_msg("\"%s\" is not in %s: %s", part, check, text_of(row, "found"));
    const char *remedy = text_of(row, "remedy");
    assert_true((strcmp(verdict, "ok") == 0) == (*remedy == 0));
    assert_null(strchr(remedy, '\n'));
}

#define ROOT_TEST(function) cmocka_unit_test_setup_teardown(function, make_root, remove_root)

#endif
