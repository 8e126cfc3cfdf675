#include "cli/version.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <cblas.h>
#include <hwloc.h>
#include <jansson.h>
#include <libfyaml.h>
#include <pcre2.h>
#include <xxhash.h>

#ifdef FT_HAVE_CUDA
#include "device/cuda_library.h"

#define DEVICES "cpu, cuda"
#else
#define DEVICES "cpu"
#endif

ft_status ft_version(ft_text *out)
{
    char pcre2[64] = "";
    pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
    FT_TRY(ft_text_printf(out, "ft-single %s (devices: " DEVICES "; communication: %s)\n", FT_VERSION, FT_COMMUNICATION));
    FT_TRY(ft_text_printf(out, "liburing %s, hwloc %s, jansson %s, libfyaml %s, PCRE2 %s\n", FT_URING_VERSION, HWLOC_VERSION, JANSSON_VERSION, fy_library_version(), pcre2));
    FT_TRY(ft_text_printf(out, "xxHash %d.%d.%d,%s(%s kernels)\n", XXH_VERSION_MAJOR, XXH_VERSION_MINOR, XXH_VERSION_RELEASE, OPENBLAS_VERSION,
                          openblas_get_corename()));
#ifdef FT_HAVE_CUDA
    FT_TRY(ft_cuda_library_versions(out));
#endif
    return FT_OK;
}
