// The sum of a micro-batch's losses in double: one block, thread t adds rows t, t + 1024, ... in order, then the threads are
// added pairwise.
#include "kernels/cuda/head_loss.h"
#include "kernels/cuda/launch.h"

enum { THREADS = 1024 };

static __global__ void __launch_bounds__(THREADS) loss_sum(double *nll_sum, const ft_cuda_row_loss *loss, int64_t rows)
{
    __shared__ double sum[THREADS];
    double mine = 0;
    for (int64_t row = threadIdx.x; row < rows; row += THREADS) {
        double others = (double)loss[row].others, own = (double)loss[row].own;
        mine += (own == 1 ? log1p(others) : log(others + own)) + (double)loss[row].offset;
    }
    sum[threadIdx.x] = mine;
    for (int width = THREADS / 2; width > 0; width /= 2) {
        __syncthreads();
        if (threadIdx.x < width) sum[threadIdx.x] += sum[threadIdx.x + width];
    }
    if (threadIdx.x == 0) *nll_sum += sum[0];
}

extern "C" ft_status ft_cuda_loss_sum(ft_queue *queue, double *nll_sum, const ft_cuda_row_loss *loss, int64_t rows)
{
    loss_sum<<<1, THREADS, 0, ft_stream(queue)>>>(nll_sum, loss, rows);
    return ft_launched("head_loss");
}
