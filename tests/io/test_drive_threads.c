// Many drives and many threads at once: every thread finds its own bytes, and the sanitizers find no race.
#include "drive_support.h"

#include <pthread.h>

#include "io/fault.h"

#define CHUNK (16 * KIB)
#define REGION (8 * CHUNK)
#define THREADS 4
#define ROUNDS 25
#define DRIVES 4

static const char *const engines[DRIVES] = {
    "io_uring",
    "posix",
    "fault:io_uring,seed=5,short=0.1,eagain=0.05,late=0.1,reorder=0.1",
    "fault:posix,seed=6,short=0.1,eintr=0.05,late=0.1,reorder=0.1",
};

typedef struct {
    ft_drive *drives[DRIVES];
    int files[DRIVES];
    int number;
    int failures;
} worker;

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

// Writes a stamped piece of this thread's region of a drive, then reads a larger part of it back beside another request.
static bool one_round(const worker *w, int drive, uint32_t *random, char *buffer, int64_t *generation)
{
    waited_request whole, part;
    int64_t base = (int64_t)w->number * REGION;
    stamp(buffer, REGION, (uint64_t)drive, (uint64_t)base, (uint64_t)++*generation);
    if (ft_drive_transfer(w->drives[drive], FT_IO_WRITE, w->files[drive], buffer, base, REGION) != FT_OK) return false;
    memset(buffer, 0, 2 * REGION);
    int64_t skip = next_random(random) % (REGION / BLOCK) * BLOCK;
    submit_waited(w->drives[drive], &whole, FT_IO_READ, w->files[drive], buffer, base, REGION);
    submit_waited(w->drives[drive], &part, FT_IO_READ, w->files[drive], buffer + REGION, base + skip, REGION - skip);
    bool ok = wait_done(&whole) == FT_OK;
    ok = wait_done(&part) == FT_OK && ok;
    uint64_t id = (uint64_t)drive, now = (uint64_t)*generation;
    return ok && stamp_mismatch(buffer, REGION, id, (uint64_t)base, now) == -1 &&
           stamp_mismatch(buffer + REGION, (size_t)(REGION - skip), id, (uint64_t)(base + skip), now) == -1;
}

// Assertions of cmocka belong to the main thread: failures are counted here.
static void *work(void *context)
{
    worker *w = context;
    uint32_t random = (uint32_t)w->number + 1;
    int64_t generation = 0;
    ft_drive_stats stats;
    char *buffer = aligned_alloc(BLOCK, 2 * REGION);
    for (int i = 0; i < ROUNDS; i++) {
        int drive = (int)(next_random(&random) % DRIVES);
        if (w->drives[drive] == NULL) continue;
        if (!one_round(w, drive, &random, buffer, &generation)) w->failures++;
        ft_drive_get_stats(w->drives[drive], &stats);
    }
    free(buffer);
    return NULL;
}

static void threads_and_drives_do_not_mix(void **state)
{
    pthread_t threads[THREADS];
    worker workers[THREADS] = {0};
    char *directory = support_directory();
    ft_fault_clear();
    for (int d = 0; d < DRIVES; d++) {
        char name[16];
        snprintf(name, sizeof name, "drive%d", d);
        if (!engine_available(strstr(engines[d], "io_uring") != NULL ? "io_uring" : "posix")) continue;
        workers[0].drives[d] = open_drive(directory, engines[d], 6, CHUNK);
        assert_ok(ft_drive_open_file(workers[0].drives[d], name, true, &workers[0].files[d]));
    }
    for (int t = 0; t < THREADS; t++) {
        workers[t] = workers[0];
        workers[t].number = t;
        assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        assert_int_equal(workers[t].failures, 0);
    }
    for (int d = 0; d < DRIVES; d++) ft_drive_close(workers[0].drives[d]);
    support_remove(directory);
}

static void *open_and_close(void *directory)
{
    bool ok = true;
    for (int i = 0; i < 10 && ok; i++) {
        ft_drive *drive;
        int file;
        ok = ft_drive_open(&drive, directory, &(ft_drive_options){.depth = 3}) == FT_OK &&
             ft_drive_open_file(drive, "data", false, &file) == FT_OK;
        ft_drive_close(drive);
    }
    return ok ? directory : NULL;
}

static void drives_open_and_close_from_any_thread(void **state)
{
    pthread_t threads[THREADS];
    char *directory = support_directory();
    make_stamped_file(directory, "data", 1, BLOCK);
    for (int t = 0; t < THREADS; t++) assert_int_equal(pthread_create(&threads[t], NULL, open_and_close, directory), 0);
    for (int t = 0; t < THREADS; t++) {
        void *result;
        pthread_join(threads[t], &result);
        assert_non_null(result);
    }
    support_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_drives_do_not_mix),
        cmocka_unit_test(drives_open_and_close_from_any_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
