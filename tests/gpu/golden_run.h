// Whole steps on the GPU: the device that runs them, and cases in processes of their own, so that one that ends badly (an error of
// a kernel stays with the process) hides no other.
#ifndef TESTS_GPU_GOLDEN_RUN_H
#define TESTS_GPU_GOLDEN_RUN_H

#include <sys/mman.h>
#include <sys/wait.h>

#include "common/log.h"
#include "gpu/gpu.h"
#include "train/golden_case.h"

#define GOLDEN_SECONDS 40  // of one case

// "cuda"; FT_GOLDEN_DEVICE=cpu runs the same checks without a GPU, where they must find next to no error.
static inline const char *golden_device(void)
{
    const char *device = getenv("FT_GOLDEN_DEVICE");
    return device ? device : "cuda";
}

static inline bool golden_on_gpu(void)
{
    return strcmp(golden_device(), "cuda") == 0;
}

// Exit code of run(context) in a child, or 128 + signal: SIGALRM where it hangs. The parent must not have opened the GPU.
static inline int golden_in_child(int (*run)(const void *context), const void *context)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(GOLDEN_SECONDS);
        int code = run(context);
        fflush(NULL);
        _exit(code);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Opens the GPU alone: 0, or 77 where there is none.
static inline int golden_probe(const void *context)
{
    t_queue();
    return 0;
}

// Memory that children write and the parent reads, zeroed.
static inline void *golden_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    return memory;
}

// Runs one function as a cmocka test of this name, with few words: many of these follow each other.
static inline int golden_test(const char *name, void (*test)(void **state), void *state)
{
    if (getenv("FT_LOG") == NULL) ft_log_set_level(FT_LOG_WARNING);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {{.name = name, .test_func = test, .initial_state = state}};
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

#endif
