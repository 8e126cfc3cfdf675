#include "kernels/cuda/blaslt.h"

#include "device/cuda_library.h"

static ft_status find_functions(ft_blaslt *blas)
{
#define FIND(name) FT_TRY(ft_cuda_library_symbol(FT_LIBRARY_CUBLASLT, "cublasLt" #name, (void **)&blas->name));
    FT_BLASLT_FUNCTIONS(FIND)
#undef FIND
    return FT_OK;
}

ft_status ft_blaslt_open(ft_blaslt *blas)
{
    FT_TRY(ft_cuda_library_open(FT_LIBRARY_CUBLASLT));
    FT_TRY(find_functions(blas));
    blas->version = (int)blas->GetVersion();
    FT_BLASLT(blas, Create(&blas->handle));
    return FT_OK;
}

void ft_blaslt_close(ft_blaslt *blas)
{
    if (blas->handle != NULL) blas->Destroy(blas->handle);
    blas->handle = NULL;
}

ft_status ft_blaslt_check(const ft_blaslt *blas, cublasStatus_t status, const char *call)
{
    if (status == CUBLAS_STATUS_SUCCESS) return FT_OK;
    return ft_error(FT_E_DEVICE, "cublasLt%s: %s", call, blas->GetStatusName(status));
}
