// Engines and files open by name, and what cannot be is refused with a message that says what.
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void refused(const char *name, ft_status status, const char *part)
{
    ft_io_engine *engine = (ft_io_engine *)1;
    assert_int_equal(ft_io_engine_open(&engine, name, &(ft_io_options){.depth = 4}), status);
    assert_null(engine);
    assert_message_has(ft_error_message(), part);
}

static void table_ends_with_a_nameless_row(void **state)
{
    int rows = 0;
    while (ft_io_engines[rows]->name != NULL) {
        assert_non_null(ft_io_engines[rows]->help);
        rows++;
    }
    assert_true(rows >= 4);
}

static void auto_always_opens(void **state)
{
    ft_io_engine *engine;
    assert_ok(ft_io_engine_open(&engine, "auto", &(ft_io_options){.depth = 4}));
    assert_true(strcmp(engine->row->name, "io_uring") == 0 || strcmp(engine->row->name, "posix") == 0);
    engine->row->close(engine);
}

static void bad_names_are_refused(void **state)
{
    refused("libaio", FT_E_USAGE, "libaio");
    refused("", FT_E_USAGE, "io_uring, posix, null, fault");
    refused("posi", FT_E_USAGE, "posi");
    refused("posix:fast", FT_E_USAGE, "takes no text");
    refused("null:", FT_E_USAGE, "takes no text");
}

static void bad_fault_specs_are_refused(void **state)
{
    refused("fault", FT_E_USAGE, "name the engine it wraps");
    refused("fault:", FT_E_USAGE, "name the engine it wraps");
    refused("fault:nothing", FT_E_USAGE, "nothing");
    refused("fault:null,bogus=0.5", FT_E_USAGE, "bogus");
    refused("fault:null,eio", FT_E_USAGE, "KEY=VALUE");
    refused("fault:null,eio=", FT_E_USAGE, "eio");
    refused("fault:null,eio=1.5", FT_E_USAGE, "probability");
    refused("fault:null,eio=-0.5", FT_E_USAGE, "probability");
    refused("fault:null,eio=nan", FT_E_USAGE, "probability");
    refused("fault:null,seed=x", FT_E_USAGE, "seed");
    refused("fault:null,eio=0.6,short=0.6", FT_E_USAGE, "add up");
}

static void every_failed_allocation_is_reported(void **state)
{
    static const char *const names[] = {"io_uring", "posix", "null", "fault:null"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!engine_available(names[i])) continue;
        for (int64_t n = 1;; n++) {
            ft_io_engine *engine;
            ft_memory_fail_after(n);
            ft_status status = ft_io_engine_open(&engine, names[i], &(ft_io_options){.depth = 4});
            ft_memory_fail_after(0);
            if (status == FT_OK) {
                engine->row->close(engine);
                assert_true(n > 1);
                break;
            }
            assert_int_equal(status, FT_E_NOMEM);
            assert_null(engine);
        }
    }
}

static void open_file_names_a_missing_path(void **state)
{
    bool direct;
    assert_int_equal(ft_io_open_file("/nonexistent/weights", O_RDONLY, &direct), FT_E_NOT_FOUND);
    assert_message_has(ft_error_message(), "/nonexistent/weights");
}

static void open_file_falls_back_to_the_page_cache(void **state)
{
    bool direct = true;
    int fd = ft_io_open_file("/proc/self/stat", O_RDONLY, &direct);  // procfs has no O_DIRECT
    assert_true(fd >= 0);
    assert_false(direct);
    assert_int_equal(fcntl(fd, F_GETFL) & O_DIRECT, 0);
    close(fd);
}

static void open_file_says_whether_it_is_direct(void **state)
{
    bool direct;
    char *directory = support_directory(), *path = ft_path_join(directory, "file");
    int fd = ft_io_open_file(path, O_RDWR | O_CREAT | O_EXCL, &direct);
    assert_true(fd >= 0);
    assert_int_equal((fcntl(fd, F_GETFL) & O_DIRECT) != 0, direct);
    int plain = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    assert_int_equal(plain >= 0, direct);
    if (plain >= 0) close(plain);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    ft_free(path);
    support_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_ends_with_a_nameless_row),
        cmocka_unit_test(auto_always_opens),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(bad_fault_specs_are_refused),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(open_file_names_a_missing_path),
        cmocka_unit_test(open_file_falls_back_to_the_page_cache),
        cmocka_unit_test(open_file_says_whether_it_is_direct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
