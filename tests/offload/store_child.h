// What the tests of interrupted builds share: builds in child processes that die at chosen steps, and a reference to compare the
// continued build with. Each build is a process of its own, so that FT_CRASH_AT counts the steps of that build alone.
#ifndef FT_TESTS_OFFLOAD_STORE_CHILD_H
#define FT_TESTS_OFFLOAD_STORE_CHILD_H

#include "offload/store_support.h"

#include <signal.h>
#include <sys/wait.h>

#include "io/commit.h"
#include "offload/store_internal.h"

#define DIED (-1)

static int journal_steps_left;

static inline ft_status die_at_journal(const char *step)
{
    if (strncmp(step, "journal", 7) == 0 && --journal_steps_left == 0) raise(SIGKILL);
    return FT_OK;
}

static inline int child_main(ft_status (*build)(const site *), const site *s)
{
    ft_status status = build(s);
    if (status != FT_OK) print_error("prepare: %s\n", ft_error_message());
    return -status;
}

static inline int wait_child(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return DIED;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// Runs `build` in a child: -status, or DIED. crash_at counts steps of io/commit.h, die_at those of the journal; 0 = none.
static inline int build_in_child(ft_status (*build)(const site *), const site *s, int crash_at, int die_at)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", crash_at);
        if (crash_at > 0) setenv("FT_CRASH_AT", number, 1);
        journal_steps_left = die_at;
        if (die_at > 0) ft_commit_hook = die_at_journal;
        _exit(child_main(build, s));
    }
    return wait_child(child);
}

static inline ft_status prepare_site(const site *s)
{
    return ft_store_prepare(s->model, &s->options, NULL);
}

static inline int prepare_in_child(const site *s, int crash_at, int die_at)
{
    return build_in_child(prepare_site, s, crash_at, die_at);
}

typedef struct {
    site s;
    char *data[SITE_DRIVES];
    size_t bytes[SITE_DRIVES];
    double build_s, relative_error;
} reference_site;

// A site whose whole build is remembered, its drives empty again.
static inline void open_reference(reference_site *r, ft_test_model model, int n_drives)
{
    site_open(&r->s, n_drives);
    assert_ok(ft_test_model_write(&model, r->s.model));
    double begin_s = ft_now_s();
    assert_int_equal(prepare_in_child(&r->s, 0, 0), 0);
    r->build_s = ft_now_s() - begin_s;
    site_save_data(&r->s, r->data, r->bytes);
    ft_store *store = site_open_store(&r->s);
    r->relative_error = store->relative_error;
    ft_store_close(store);
    site_clear_drives(&r->s);
}

static inline void close_reference(reference_site *r)
{
    site_free_data(&r->s, r->data);
    site_close(&r->s);
}

static inline ft_test_model tiny_model(void)
{
    ft_test_model model = site_model();
    model.hidden = 128;
    model.layers = 1;
    return model;
}

// The state after a death is no store, or the whole one.
static inline void assert_nothing_half_done(const site *s)
{
    ft_status status = site_try_open(s);
    if (status != FT_OK) assert_int_equal(status, FT_E_NOT_FOUND);
}

// The directory holds the store alone, and that its three files; a lock file may have lost its holder.
static inline void assert_no_leftovers(const site *s)
{
    for (int d = 0; d < s->options.n_nvme; d++) {
        char command[1600];
        snprintf(command, sizeof command, "test $(ls -A %s/ft-store | grep -vc lock) = 1 && test $(ls -A %s | wc -l) = 3", s->drive[d],
                 site_store_path(s, d, ""));
        assert_int_equal(system(command), 0);
    }
}

static inline void check_continued(reference_site *r)
{
    assert_nothing_half_done(&r->s);
    assert_int_equal(prepare_in_child(&r->s, 0, 0), 0);
    site_assert_data(&r->s, r->data, r->bytes);
    assert_no_leftovers(&r->s);
    ft_store *store = site_open_store(&r->s);
    assert_ok(ft_store_verify(store));
    assert_true(store->relative_error == r->relative_error);
    ft_store_close(store);
    site_clear_drives(&r->s);
}

#endif
