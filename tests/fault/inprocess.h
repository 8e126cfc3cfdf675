// A whole `train` inside this process, for faults that only a test can place: in a numbered transfer, in a numbered allocation.
#ifndef FT_TESTS_FAULT_INPROCESS_H
#define FT_TESTS_FAULT_INPROCESS_H

#include "fault/training.h"
#include "io/fault.h"
#include "train/trainer.h"

typedef struct {
    training job;
    training_run run;
    char *adapter;          // of the undisturbed run
    size_t adapter_bytes;
    int attempts, failures;
} inprocess;

// Sanitizers slow a run down: fewer points then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INPROCESS_STRIDE 4
#else
#define INPROCESS_STRIDE 1
#endif

static char inprocess_point[64];  // what is being tried, for the watchdog

// A run that waits for ever is the one failure that says nothing by itself.
static inline void inprocess_hangs(int number)
{
    static const char text[] = "hangs: ";
    ssize_t ignored = write(STDOUT_FILENO, text, sizeof text - 1);
    ignored = write(STDOUT_FILENO, inprocess_point, strlen(inprocess_point));
    (void)ignored;
    abort();
}

static inline ft_status inprocess_settings(const inprocess *p, ft_settings *settings)
{
    FT_TRY(ft_settings_init(settings));
    return ft_settings_read(settings, p->run.config);
}

static inline ft_status inprocess_run(const ft_train_options *options)
{
    ft_train_result result;
    ft_status status = ft_train(options, &result);
    ft_train_result_free(&result);
    return status;
}

// Trains from nothing (or what is there of the store). What the run tells its user goes nowhere.
static inline ft_status inprocess_train(inprocess *p)
{
    ft_settings settings = {0};
    ft_train_options options = {.settings = &settings, .overwrite = true};
    int silent = open("/dev/null", O_WRONLY), stderr_fd = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(silent, STDERR_FILENO);
    signal(SIGALRM, inprocess_hangs);
    alarm(60);
    ft_status status = inprocess_settings(p, &settings);
    if (status == FT_OK) status = inprocess_run(&options);
    alarm(0);
    ft_settings_free(&settings);
    fflush(stderr);
    dup2(stderr_fd, STDERR_FILENO);
    close(silent);
    close(stderr_fd);
    p->attempts++;
    p->failures += status != FT_OK;
    return status;
}

static inline const ft_test_model *inprocess_model(void)
{
    static const ft_test_model model = {.hidden = 128, .ffn = 256, .layers = 4, .q_heads = 2, .kv_heads = 1, .head_dim = 64, .vocab = 320,
                                        .dtype = FT_DTYPE_BF16, .seed = 3};
    return &model;
}

// In memory where that is possible: hundreds of runs would wait for fsync most of the time.
static inline void inprocess_make(inprocess *p, const char *extra)
{
    *p = (inprocess){0};
    training_make_in(&p->job, inprocess_model(), access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    training_config(&p->job, &p->run, 2, extra);
    done(inprocess_train(p));
    p->adapter = file_text(at("%s/adapter/adapter_model.safetensors", p->run.output), &p->adapter_bytes);
}

static inline void inprocess_remove(inprocess *p)
{
    training_remove(&p->job);
    free(p->adapter);
}

static inline void inprocess_same_bits(inprocess *p)
{
    size_t bytes;
    char *adapter = file_text(at("%s/adapter/adapter_model.safetensors", p->run.output), &bytes);
    if (bytes != p->adapter_bytes || memcmp(adapter, p->adapter, bytes) != 0) fail_msg("%s: other bits", inprocess_point);
    free(adapter);
    no_leftovers(p->run.output);
    for (int d = 0; d < p->run.drives; d++) no_leftovers(training_drive(&p->run, d));
}

// Either the bits of the undisturbed run, or one line that says what went wrong; then the run is made again and comes out right.
static inline void inprocess_judge(inprocess *p, ft_status status)
{
    if (status != FT_OK) {
        const char *message = ft_error_message();
        int code = ft_status_exit_code(status);
        if (status == FT_E_INTERNAL || (code != 1 && code != 2) || strlen(message) < 10 || strchr(message, '\n'))
            fail_msg("%s: status %d: %s", inprocess_point, status, message);
        if (ft_path_exists(p->run.output)) no_leftovers(p->run.output);  // a run that never began leaves nothing
        ft_fault_clear();
        ft_memory_fail_after(0);
        status = inprocess_train(p);
        p->failures -= status != FT_OK;
        if (status != FT_OK) fail_msg("%s: a second run fails: %s", inprocess_point, ft_error_message());
    }
    inprocess_same_bits(p);
}

#endif
