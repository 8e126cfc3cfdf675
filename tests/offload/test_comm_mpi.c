// The MPI backend in real processes: `mpirun -n N test_offload_comm_mpi collectives|abort`. Not under mpirun: skipped.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "offload/comm_support.h"

#define SKIPPED 77
#define LARGE ((int64_t)5 << 18)  // floats: more than a chunk of the summing scratch, and beyond what MPI sends eagerly

static ft_device *device;
static ft_queue *queue;

static void check_collectives(ft_comm *comm)
{
    CHECK(strcmp(ft_comm_backend(comm), "mpi") == 0);
    comm_check_all(comm, queue, 33000);
    comm_check_all_reduce(comm, queue, LARGE + 5);
    comm_check_reduce_scatter(comm, queue, LARGE / ft_comm_size(comm) + 3, true);
    // A second communicator carries its own messages.
    ft_comm *second;
    CHECK(ft_comm_mpi(&second) == FT_OK);
    comm_check_all_reduce(second, queue, 1000);
    comm_check_all_reduce(comm, queue, 1000);
    ft_comm_free(second);
    CHECK(ft_comm_barrier(comm) == FT_OK);
}

// The last rank stops while the others are in a large call; none of them hangs.
static void check_abort(ft_comm *comm)
{
    float *data = calloc((size_t)LARGE, sizeof *data);
    CHECK(ft_comm_barrier(comm) == FT_OK);
    if (ft_comm_rank(comm) == ft_comm_size(comm) - 1) {
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000L}, NULL);
        ft_comm_abort(comm);
    }
    CHECK(ft_comm_all_reduce(comm, data, LARGE, queue) == FT_E_IO);
    CHECK(strstr(ft_error_message(), "another rank stopped") != NULL);
    CHECK(ft_comm_barrier(comm) == FT_E_IO);
    CHECK(ft_comm_all_gather(comm, data, data, 4, queue) == FT_E_IO);
    free(data);
}

int main(int n, char **arguments)
{
    ft_comm *comm;
    if (getenv("OMPI_COMM_WORLD_SIZE") == NULL || n != 2) {
        fprintf(stderr, "skipped: run under mpirun with `collectives` or `abort`\n");
        return SKIPPED;
    }
    CHECK(ft_device_open(&device, "cpu", 0) == FT_OK);
    CHECK(ft_queue_create(device, FT_QUEUE_COMPUTE, "rank", &queue) == FT_OK);
    CHECK(ft_comm_mpi(&comm) == FT_OK);
    CHECK(ft_comm_size(comm) == atoi(getenv("OMPI_COMM_WORLD_SIZE")) && ft_comm_rank(comm) < ft_comm_size(comm));
    if (strcmp(arguments[1], "abort") == 0) check_abort(comm);
    else check_collectives(comm);
    ft_comm_free(comm);
    ft_queue_destroy(queue);
    ft_device_close(device);
    CHECK(ft_comm_mpi(&comm) == FT_E_INTERNAL);
    return 0;
}
