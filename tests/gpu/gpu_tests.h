// All GPU tests as one program: every test_NAME.c of this folder is compiled with its main renamed, and a generated table names
// them. Usage: PROGRAM NAME[,NAME...] ... | all. One name runs in this process and its exit code is the test's (77 = skipped);
// several, or all, run in child processes, with one line each and last a count and the names that failed; the exit code is then 1
// if any failed, 77 if none could run, else 0. A child is ended after FT_TEST_SECONDS (default 120).
#ifndef TESTS_GPU_GPU_TESTS_H
#define TESTS_GPU_GPU_TESTS_H

typedef struct {
    const char *name;
    int (*run)(void);
} gpu_test;

extern const gpu_test gpu_test_table[];  // generated; ends with a NULL name

int gpu_tests_main(int argc, char **argv);

#endif
