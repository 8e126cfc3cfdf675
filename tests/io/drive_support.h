// Requests of drive tests: one that can be waited for, and a stamped file on a drive.
#ifndef FT_TESTS_IO_DRIVE_SUPPORT_H
#define FT_TESTS_IO_DRIVE_SUPPORT_H

#include <semaphore.h>

#include "io/drive.h"
#include "support.h"

typedef struct {
    ft_drive_request request;
    sem_t done;
} waited_request;

static inline void post_done(ft_drive_request *request)
{
    sem_post(&((waited_request *)request->user)->done);
}

static inline void submit_waited(ft_drive *drive, waited_request *waited, ft_io_op op, int file, void *buffer, int64_t offset,
                                 int64_t bytes)
{
    sem_init(&waited->done, 0, 0);
    waited->request = (ft_drive_request){.op = op, .file = file, .buffer = buffer, .offset = offset, .bytes = bytes,
                                         .complete = post_done, .user = waited};
    ft_drive_submit(drive, &waited->request);
}

static inline ft_status wait_done(waited_request *waited)
{
    while (sem_wait(&waited->done) != 0) continue;
    sem_destroy(&waited->done);
    return waited->request.status;
}

static inline ft_drive *open_drive(const char *directory, const char *engine, int depth, uint32_t chunk_bytes)
{
    ft_drive *drive;
    assert_ok(ft_drive_open(&drive, directory, &(ft_drive_options){.engine = engine, .depth = depth, .chunk_bytes = chunk_bytes}));
    return drive;
}

// Writes a file of stamps through plain stdio, so that a wrong write path of the drive cannot hide a wrong read path.
static inline void make_stamped_file(const char *directory, const char *name, uint64_t id, size_t bytes)
{
    char *path = ft_path_join(directory, name);
    void *data = aligned_buffer(bytes);
    stamp(data, bytes, id, 0, 0);
    assert_ok(ft_file_write(path, data, bytes));
    free(data);
    ft_free(path);
}

#endif
