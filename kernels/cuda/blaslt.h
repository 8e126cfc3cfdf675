// cuBLASLt, found at run time: the functions we use, its handle and its errors.
#ifndef FT_KERNELS_CUDA_BLASLT_H
#define FT_KERNELS_CUDA_BLASLT_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cublasLt.h>
#pragma GCC diagnostic pop

#include "common/status.h"

#define FT_BLASLT_FUNCTIONS(X)                                                                                                 \
    X(Create) X(Destroy) X(GetVersion) X(GetStatusName) X(Matmul)                                                              \
    X(MatrixLayoutCreate) X(MatrixLayoutDestroy)                                                                               \
    X(MatmulDescCreate) X(MatmulDescDestroy) X(MatmulDescSetAttribute)                                                         \
    X(MatmulPreferenceCreate) X(MatmulPreferenceDestroy) X(MatmulPreferenceSetAttribute)                                       \
    X(MatmulAlgoGetHeuristic) X(MatmulAlgoCheck)

// Only the types of the header are used; the members have its functions' names without the prefix.
typedef struct {
    cublasLtHandle_t handle;
    int version;              // 130100 is 13.1.0
#define FT_BLASLT_MEMBER(name) __typeof__(&cublasLt##name) name;
    FT_BLASLT_FUNCTIONS(FT_BLASLT_MEMBER)
#undef FT_BLASLT_MEMBER
} ft_blaslt;

// Loads the library and makes a handle on the current device. FT_E_UNSUPPORTED where the library is missing.
ft_status ft_blaslt_open(ft_blaslt *blas);
void ft_blaslt_close(ft_blaslt *blas);
// FT_E_DEVICE with the call's name and the library's, FT_OK for success.
ft_status ft_blaslt_check(const ft_blaslt *blas, cublasStatus_t status, const char *call);

#define FT_BLASLT(blas, call) FT_TRY(ft_blaslt_check(blas, (blas)->call, #call))

#endif
