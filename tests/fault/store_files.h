// The files of a job's base store, for tests that damage them.
#ifndef FT_TESTS_FAULT_STORE_FILES_H
#define FT_TESTS_FAULT_STORE_FILES_H

#include "fault/training.h"

// An entry of stripes.bin, see offload/store.h.
typedef struct {
    uint32_t record, drive;
    uint64_t offset, hash;
    uint32_t bytes, index;
} store_stripe;

// Makes the store of the job's model on the run's drives; its id.
static inline void store_prepare(const training *job, const training_run *run, char id[33])
{
    program p = {0};
    program_run(&p, "prepare", at("%s/model", job->root), "--nvme", run->nvme);
    snprintf(id, 33, "%.32s", p.out);
    program_free(&p);
}

static inline const char *store_data(const training_run *run, const char *id, uint32_t drive)
{
    return at("%s/ft-store/%s/data", training_drive(run, (int)drive), id);
}

// Its stripes; their number, which is 20 to `most`.
static inline int store_read_stripes(const training_run *run, const char *id, store_stripe *stripes, int most)
{
    size_t bytes;
    char *data = file_text(at("%s/ft-store/%s/stripes.bin", training_drive(run, 0), id), &bytes);
    uint64_t n;
    memcpy(&n, data + 16, 8);
    assert_in_range(n, 20, most);
    memcpy(stripes, data + 64, n * sizeof *stripes);
    free(data);
    return (int)n;
}

#endif
