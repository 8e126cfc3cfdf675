// Norm weights and biases to float32. A few thousand values: no need of wide accesses.
#include "kernels/cuda/element.cuh"

enum { THREADS = 256 };

template <ft_dtype DTYPE> static __global__ void __launch_bounds__(THREADS) vector_kernel(float *dst, const void *src, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) dst[i] = ft_load_element<DTYPE>(src, i);
}

typedef void (*vector_fn)(float *dst, const void *src, int64_t n);

static vector_fn kernel_of(ft_dtype dtype)
{
    switch (dtype) {
    case FT_DTYPE_BF16: return vector_kernel<FT_DTYPE_BF16>;
    case FT_DTYPE_F16: return vector_kernel<FT_DTYPE_F16>;
    case FT_DTYPE_F32: return vector_kernel<FT_DTYPE_F32>;
    case FT_DTYPE_F64: return vector_kernel<FT_DTYPE_F64>;
    default: return NULL;
    }
}

extern "C" ft_status ft_cuda_vector_prepare(ft_queue *queue, float *dst, const void *src, ft_dtype dtype, int64_t n)
{
    vector_fn kernel = kernel_of(dtype);
    if (kernel == NULL) return ft_error(FT_E_UNSUPPORTED, "cannot convert %s to F32", ft_dtype_name(dtype));
    if (n == 0) return FT_OK;
    unsigned blocks = (unsigned)((n + THREADS - 1) / THREADS);
    kernel<<<blocks, THREADS, 0, ft_stream(queue)>>>(dst, src, n);
    return ft_launched("vector_prepare");
}
