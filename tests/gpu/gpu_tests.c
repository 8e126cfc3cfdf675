#include "gpu/gpu_tests.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, USAGE = 2, MOST_NAMED = 100 };

typedef struct {
    int passed, failed, skipped;
    const char *failures[MOST_NAMED];
} counts;

static const gpu_test *find(const char *name, size_t length)
{
    for (const gpu_test *test = gpu_test_table; test->name != NULL; test++) {
        if (strlen(test->name) == length && strncmp(test->name, name, length) == 0) return test;
    }
    return NULL;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static unsigned seconds_allowed(void)
{
    const char *seconds = getenv("FT_TEST_SECONDS");
    return seconds != NULL ? (unsigned)strtoul(seconds, NULL, 10) : 120;
}

// Exit code, or 128 + signal, of the test in a child: a crash or an error that sticks to the device stays there. The alarm also
// ends a child whose kernel hangs.
static int run_in_child(const gpu_test *test)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(seconds_allowed());
        exit(test->run());
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run_and_tell(const gpu_test *test, counts *n)
{
    double begin = now();
    int code = run_in_child(test);
    double seconds = now() - begin;
    if (code == 0) n->passed++;
    else if (code == SKIPPED) n->skipped++;
    else if (n->failed++ < MOST_NAMED) n->failures[n->failed - 1] = test->name;
    printf("gpu/%s: %s in %.1f s", test->name, code == 0 ? "passed" : code == SKIPPED ? "skipped" : "FAILED", seconds);
    if (code != 0 && code != SKIPPED) printf(code > 128 ? " (signal %d)" : " (exit %d)", code > 128 ? code - 128 : code);
    printf("\n");
}

// Runs the tests of a list "a,b"; with n NULL only checks that all exist.
static bool run_list(const char *list, counts *n)
{
    for (const char *name = list; *name != '\0';) {
        size_t length = strcspn(name, ",");
        const gpu_test *test = find(name, length);
        if (test == NULL) {
            fprintf(stderr, "'%.*s' is no GPU test\n", (int)length, name);
            return false;
        }
        if (n != NULL) run_and_tell(test, n);
        name += length + (name[length] == ',');
    }
    return true;
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s NAME[,NAME...] ... | all; tests:", program);
    for (const gpu_test *test = gpu_test_table; test->name != NULL; test++) fprintf(stderr, " %s", test->name);
    fprintf(stderr, "\n");
    return USAGE;
}

static int tell_counts(const counts *n)
{
    printf("%d passed, %d failed, %d skipped", n->passed, n->failed, n->skipped);
    for (int i = 0; i < n->failed && i < MOST_NAMED; i++) printf("%s%s", i == 0 ? "; failed: " : ",", n->failures[i]);
    printf("\n");
    return n->failed > 0 ? 1 : n->passed > 0 ? 0 : SKIPPED;
}

int gpu_tests_main(int argc, char **argv)
{
    counts n = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);  // what a test said before it was ended is worth reading
    bool all = argc == 2 && strcmp(argv[1], "all") == 0;
    if (argc < 2) return usage(argv[0]);
    const gpu_test *only = argc == 2 ? find(argv[1], strlen(argv[1])) : NULL;
    if (only != NULL) return only->run();
    for (int i = 1; i < argc && !all; i++) {
        if (!run_list(argv[i], NULL)) return usage(argv[0]);
    }
    for (int i = 1; i < argc && !all; i++) run_list(argv[i], &n);
    for (const gpu_test *test = gpu_test_table; all && test->name != NULL; test++) run_and_tell(test, &n);
    return tell_counts(&n);
}
