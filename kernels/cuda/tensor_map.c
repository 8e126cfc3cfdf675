// Tensor maps are encoded by the driver; its function is asked of the runtime, since nothing links the driver.
#include "kernels/cuda/tensor_map.h"

#include <stdatomic.h>

#include "kernels/cuda/launch.h"

enum { BOX_BYTES = 128, FIRST_DRIVER = 12000 };

typedef CUresult (*encode_function)(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *data, const cuuint64_t *size,
                                    const cuuint64_t *stride, const cuuint32_t *box, const cuuint32_t *step,
                                    CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                    CUtensorMapFloatOOBfill fill);

static ft_status find_encode(encode_function *encode)
{
    static _Atomic(encode_function) found;
    *encode = atomic_load_explicit(&found, memory_order_relaxed);
    if (*encode != NULL) return FT_OK;
    void *entry = NULL;
    enum cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
    FT_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, FIRST_DRIVER, cudaEnableDefault, &result));
    if (result != cudaDriverEntryPointSuccess || entry == NULL)
        return ft_error(FT_E_DEVICE, "the driver has no cuTensorMapEncodeTiled (query result %d)", (int)result);
    *encode = (encode_function)entry;
    atomic_store_explicit(&found, *encode, memory_order_relaxed);
    return FT_OK;
}

ft_status ft_tensor_map(CUtensorMap *map, const char *what, const ft_tensor_box *box)
{
    encode_function encode;
    FT_TRY(find_encode(&encode));
    cuuint64_t size[2] = {(cuuint64_t)box->cols, (cuuint64_t)box->rows}, stride[1] = {(cuuint64_t)box->ld_bytes};
    cuuint32_t extent[2] = {(cuuint32_t)(BOX_BYTES / box->element_bytes), (cuuint32_t)box->box_rows}, step[2] = {1, 1};
    CUresult result = encode(map, box->type, 2, (void *)box->data, size, stride, extent, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (result == CUDA_SUCCESS) return FT_OK;
    return ft_error(FT_E_DEVICE,
                    "cuTensorMapEncodeTiled: error %d for %s: %lld x %lld elements of %d bytes at %p, %lld bytes a row, "
                    "%lld rows a box",
                    (int)result, what, (long long)box->rows, (long long)box->cols, (int)box->element_bytes, box->data,
                    (long long)box->ld_bytes, (long long)box->box_rows);
}
