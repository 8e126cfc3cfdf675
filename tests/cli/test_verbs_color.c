// Colour and cursor movement only for a person: on a terminal, unless NO_COLOR or TERM=dumb says otherwise; never into a file.
#include <pty.h>

#include "verb_fixture.h"

static verbs v;
static char screen[1 << 16];

static int setup(void **state)
{
    verbs_make(&v);
    return 0;
}

static int teardown(void **state)
{
    verbs_remove(&v);
    return 0;
}

// Runs on a terminal of its own with these variables set (NAME=VALUE or NULL); what it shows is in `screen`.
static void on_terminal(const char *const *arguments, const char *variable)
{
    const char *argv[32] = {program_path()};
    int terminal, result;
    size_t used = 0;
    for (int i = 0; arguments[i]; i++) argv[i + 1] = arguments[i];
    fflush(NULL);
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    assert_true(child >= 0);
    if (child == 0) {
        setenv("TERM", "xterm", 1);
        unsetenv("NO_COLOR");
        if (variable) putenv((char *)(uintptr_t)variable);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    for (ssize_t n; used < sizeof screen - 1 && (n = read(terminal, screen + used, sizeof screen - 1 - used)) > 0;) used += (size_t)n;
    screen[used] = 0;
    close(terminal);
    assert_int_equal(waitpid(child, &result, 0), child);
    if (!WIFEXITED(result) || WEXITSTATUS(result) != 0) fail_msg("%s", screen);
}

// A select-graphic-rendition sequence: ESC [ numbers m.
static bool coloured(void)
{
    for (const char *escape = screen; (escape = strstr(escape, "\033[")); escape += 2)
        if (escape[2 + strspn(escape + 2, "0123456789;")] == 'm') return true;
    return false;
}

#define DATA ((const char *const[]){"data", v.data, "--model", v.model, NULL})
#define TRAIN                                                                                                                                      \
    ((const char *const[]){"train", "--model", v.model, "--data", v.data, "--nvme", v.nvme, "--output", v.output, "--overwrite", "--device", "cpu", \
                           "--sequence-len", "96", "--max-steps", "2", NULL})

static void samples_are_coloured_on_a_terminal(void **state)
{
    on_terminal(DATA, NULL);
    assert_true(coloured());
    on_terminal(DATA, "NO_COLOR=");
    assert_true(coloured());
    on_terminal(DATA, "NO_COLOR=1");
    assert_false(coloured());
    contains(screen, "[+");
}

// Progress moves the cursor on a terminal, without colours where NO_COLOR is set; a dumb terminal gets plain lines.
static void progress_on_a_terminal(void **state)
{
    on_terminal(TRAIN, NULL);
    contains(screen, "\r");
    on_terminal(TRAIN, "NO_COLOR=1");
    contains(screen, "\033[");
    assert_false(coloured());
    on_terminal(TRAIN, "TERM=dumb");
    assert_null(strchr(screen, '\033'));
    contains(screen, "2 steps, ");
}

static void files_get_plain_text(void **state)
{
    program p = {0};
    program_run_list(&p, TRAIN);
    assert_int_equal(p.exit_code, 0);
    assert_null(strpbrk(p.out, "\033\r"));
    assert_null(strpbrk(p.err, "\033\r"));
    contains(p.err, "step 2/2  loss ");
    program_free(&p);
    program_run_list(&p, DATA);
    assert_null(strpbrk(p.out, "\033\r"));
    program_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_coloured_on_a_terminal), cmocka_unit_test(progress_on_a_terminal), cmocka_unit_test(files_get_plain_text),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
