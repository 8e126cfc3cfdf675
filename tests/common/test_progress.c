// Progress is one line that is rewritten on a terminal, and a plain line every five seconds elsewhere.
#include "t_common.h"

#include <pthread.h>
#include <sys/ioctl.h>

#include "common/log.h"

// As if the job had begun, and printed last, so long ago.
static void age(ft_progress *p, double seconds)
{
    p->start_s -= seconds;
    p->printed_s = p->start_s;
}

static void elsewhere_a_line_comes_every_five_seconds(void **state)
{
    (void)state;
    ft_progress p;
    t_capture_begin();
    ft_progress_begin(&p, "reading", "B", 4e9);
    ft_progress_update(&p, 1e9);
    age(&p, 4.9);
    ft_progress_update(&p, 1e9);
    age(&p, 5.1);
    ft_progress_update(&p, 2e9);
    ft_progress_update(&p, 3e9);
    ft_progress_end(&p);
    assert_string_equal(t_capture_end(), "reading  50%  2.0/4.0 GB  200.00 MB/s  10s left\n");
}

static void steps_have_a_rate_and_a_note(void **state)
{
    (void)state;
    ft_progress p;
    t_capture_begin();
    ft_progress_begin(&p, "training", "steps", 100);
    age(&p, 200);
    ft_progress_note(&p, 25, "loss %.2f  layer %d/32", 2.305, 17);
    assert_string_equal(t_capture_end(), "training  25%  25/100 steps  0.125 steps/s  10m 00s left  loss 2.31  layer 17/32\n");
}

static void an_unknown_total_shows_no_share_and_no_time_left(void **state)
{
    (void)state;
    ft_progress p;
    t_capture_begin();
    ft_progress_begin(&p, "tokenizing", "samples", 0);
    age(&p, 10);
    ft_progress_update(&p, 12340);
    assert_string_equal(t_capture_end(), "tokenizing  12340 samples  1234 samples/s\n");
}

static void a_resumed_job_does_not_count_what_was_done_before(void **state)
{
    (void)state;
    ft_progress p;
    t_capture_begin();
    ft_progress_begin(&p, "training", "steps", 1000);
    ft_progress_resume(&p, 900);
    age(&p, 10);
    ft_progress_update(&p, 950);
    assert_string_equal(t_capture_end(), "training  95%  950/1000 steps  5 steps/s  10s left\n");
}

static void without_speed_there_is_no_time_left(void **state)
{
    (void)state;
    ft_progress p;
    t_capture_begin();
    ft_progress_begin(&p, "waiting", "B", 500);
    age(&p, 6);
    ft_progress_update(&p, 0);
    age(&p, 6);
    ft_progress_update(&p, 700);
    assert_string_equal(t_capture_end(), "waiting   0%  0/500 B\nwaiting 100%  700/500 B  58.33 B/s\n");
}

static void warnings_only_means_no_progress(void **state)
{
    (void)state;
    ft_progress p;
    t_capture_begin();
    ft_log_set_level(FT_LOG_WARNING);
    ft_progress_begin(&p, "quiet", "B", 10);
    age(&p, 10);
    ft_progress_update(&p, 5);
    ft_progress_end(&p);
    ft_log_set_level(FT_LOG_INFO);
    assert_string_equal(t_capture_end(), "");
}

// stderr on a pseudo-terminal that is `columns` wide.
static int master;

static void terminal_begin(unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) skip();
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
    t_stderr_to(slave);
    close(slave);
}

// What arrived so far; the terminal turns every newline into \r\n.
static const char *terminal_read(void)
{
    static char text[65536];
    size_t n = 0;
    for (ssize_t got; n < sizeof text - 1 && (got = read(master, text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    return text;
}

static void terminal_end(void)
{
    t_stderr_back();
    close(master);
}

static void on_a_terminal_the_line_is_rewritten_and_erased(void **state)
{
    (void)state;
    ft_progress p;
    setenv("TERM", "xterm", 1);
    terminal_begin(100);
    ft_progress_begin(&p, "reading", "B", 4e9);
    assert_string_equal(terminal_read(), "\rreading [                    ]   0%  0.0/4.0 GB\033[K");
    ft_progress_update(&p, 1e9);
    assert_string_equal(terminal_read(), "");
    age(&p, 1);
    ft_progress_note(&p, 3e9, "drive %d", 2);
    const char *line = terminal_read();
    assert_non_null(strstr(line, "\rreading [###############     ]  75%  3.0/4.0 GB  "));
    assert_non_null(strstr(line, "s left  drive 2\033[K"));
    ft_progress_end(&p);
    assert_string_equal(terminal_read(), "\r\033[K");
    ft_progress_end(&p);
    assert_string_equal(terminal_read(), "");
    terminal_end();
}

static void log_lines_go_above_the_progress_line(void **state)
{
    (void)state;
    ft_progress p;
    terminal_begin(100);
    ft_progress_begin(&p, "t", "steps", 0);
    assert_string_equal(terminal_read(), "\rt  0 steps\033[K");
    ft_info("hello");
    assert_string_equal(terminal_read(), "\r\033[Khello\r\nt  0 steps");
    ft_progress_end(&p);
    terminal_read();
    ft_info("hello");
    assert_string_equal(terminal_read(), "hello\r\n");
    terminal_end();
}

static void the_line_is_shorter_than_the_terminal(void **state)
{
    (void)state;
    ft_progress p;
    terminal_begin(31);
    // The bar goes first, then the end of the line.
    ft_progress_begin(&p, "reading", "B", 4e9);
    assert_string_equal(terminal_read(), "\rreading   0%  0.0/4.0 GB\033[K");
    ft_progress_end(&p);
    ft_progress_begin(&p, "reading from a slow drive", "B", 4e9);
    assert_non_null(strstr(terminal_read(), "\rreading from a slow drive   0%\033[K"));
    ft_progress_end(&p);
    // No half characters: the 15th of these two-byte letters would end beyond the 30th byte.
#define SEVEN "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
    ft_progress_begin(&p, "a" SEVEN SEVEN SEVEN, "B", 0);
    const char *cut = strrchr(terminal_read(), '\r');
    assert_string_equal(cut, "\ra" SEVEN SEVEN "\033[K");
#undef SEVEN
    ft_progress_end(&p);
    terminal_end();
}

static void colour_is_for_terminals_that_want_it(void **state)
{
    (void)state;
    unsetenv("NO_COLOR");
    terminal_begin(100);
    ft_warn("w");
    assert_string_equal(terminal_read(), "\033[33mwarning: \033[0mw\r\n");
    setenv("NO_COLOR", "1", 1);
    ft_warn("w");
    assert_string_equal(terminal_read(), "warning: w\r\n");
    setenv("NO_COLOR", "", 1);
    assert_true(ft_log_color());
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    ft_warn("w");
    assert_string_equal(terminal_read(), "warning: w\r\n");
    ft_progress p;
    ft_progress_begin(&p, "t", "B", 0);
    ft_progress_end(&p);
    assert_string_equal(terminal_read(), "");
    assert_true(ft_log_is_terminal());
    setenv("TERM", "xterm", 1);
    terminal_end();
}

static void *update_often(void *progress)
{
    for (int i = 0; i < 2000; i++) ft_progress_update(progress, i);
    return NULL;
}

static void threads_may_share_a_progress(void **state)
{
    (void)state;
    ft_progress p;
    pthread_t threads[3];
    t_capture_begin();
    ft_progress_begin(&p, "shared", "steps", 2000);
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, update_often, &p);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    ft_progress_end(&p);
    t_capture_end();
    assert_true(p.done == 1999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elsewhere_a_line_comes_every_five_seconds),
        cmocka_unit_test(steps_have_a_rate_and_a_note),
        cmocka_unit_test(an_unknown_total_shows_no_share_and_no_time_left),
        cmocka_unit_test(a_resumed_job_does_not_count_what_was_done_before),
        cmocka_unit_test(without_speed_there_is_no_time_left),
        cmocka_unit_test(warnings_only_means_no_progress),
        cmocka_unit_test(on_a_terminal_the_line_is_rewritten_and_erased),
        cmocka_unit_test(log_lines_go_above_the_progress_line),
        cmocka_unit_test(the_line_is_shorter_than_the_terminal),
        cmocka_unit_test(colour_is_for_terminals_that_want_it),
        cmocka_unit_test(threads_may_share_a_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
