// Stands for a library of NVIDIA in test_cuda_library.c: says a version, and nothing else.
#include <stddef.h>

size_t cudnnGetVersion(void);
size_t cublasLtGetVersion(void);
int ncclGetVersion(int *version);

size_t cudnnGetVersion(void)
{
    return FAKE_VERSION;
}

size_t cublasLtGetVersion(void)
{
    return FAKE_VERSION;
}

int ncclGetVersion(int *version)
{
    *version = FAKE_VERSION;
    return 0;
}
