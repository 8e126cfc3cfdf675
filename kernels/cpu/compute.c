#include "kernels/cpu/compute.h"

#include <string.h>

#include "kernels/cpu/gemm.h"

ft_status ft_cpu_compute_check(const char *mode)
{
    bool bf16 = strcmp(mode, "bf16") == 0;
    if (!bf16 && strcmp(mode, "f32") != 0) return ft_error(FT_E_USAGE, "cpu_compute: '%s' is neither f32 nor bf16", mode);
    if (bf16 && !ft_gemm_has_bf16())
        return ft_error(FT_E_UNSUPPORTED, "cpu_compute: bf16 needs a CPU with AVX512_BF16, which this one lacks; use cpu_compute: f32");
    return FT_OK;
}

ft_status ft_cpu_compute_set(ft_device *device, const char *mode)
{
    FT_ASSERT(device->info.kind == FT_DEVICE_CPU);
    FT_TRY(ft_cpu_compute_check(mode));
    device->info.bf16_products = strcmp(mode, "bf16") == 0;
    return FT_OK;
}
