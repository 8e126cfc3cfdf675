#include "cli/version.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <cblas.h>
#include <gnu/libc-version.h>
#include <hwloc.h>
#include <jansson.h>
#include <libfyaml.h>
#include <pcre2.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include "io/http_library.h"

#ifdef FT_HAVE_CUDA
#include "device/cuda_library.h"

#define DEVICES "cpu, cuda"
#else
#define DEVICES "cpu"
#endif

#define COMMIT (FT_COMMIT[0] ? ", commit " FT_COMMIT : "")

// Bytes of the first two words: name and version, of what libraries say at length.
static int two_words(const char *text)
{
    size_t first = strcspn(text, " ");
    return (int)(first + (text[first] ? 1 + strcspn(text + first + 1, " ") : 0));
}

static ft_status add_program(ft_text *out)
{
    return ft_text_printf(out, "ft-single %s (devices: " DEVICES "; communication: %s%s)\nbuilt by %s, runs with glibc %s\n", FT_VERSION, FT_COMMUNICATION,
                          COMMIT, FT_COMPILER, gnu_get_libc_version());
}

static ft_status add_linked(ft_text *out)
{
    char pcre2[64] = "";
    pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
    FT_TRY(ft_text_printf(out, "liburing %s, hwloc %s, libnuma %s\n", FT_URING_VERSION, HWLOC_VERSION, FT_NUMA_VERSION));
    FT_TRY(ft_text_printf(out, "jansson %s, libfyaml %s, PCRE2 %s\n", jansson_version_str(), fy_library_version(), pcre2));
    FT_TRY(ft_text_printf(out, "zstd %s, zlib %s, snappy %s, xxHash %d.%d.%d\n", ZSTD_versionString(), zlibVersion(), FT_SNAPPY_VERSION, XXH_VERSION_MAJOR,
                          XXH_VERSION_MINOR, XXH_VERSION_RELEASE));
    return ft_text_printf(out, "%.*s (%s kernels)\n", two_words(openblas_get_config()), openblas_get_config(), openblas_get_corename());
}

static ft_status add_curl(ft_text *out)
{
    const ft_curl *curl;
    if (ft_curl_load(&curl) != FT_OK) return ft_text_printf(out, "libcurl: none (%s)\n", ft_error_message());
    return ft_text_printf(out, "%.*s\n", two_words(curl->version()), curl->version());
}

ft_status ft_version(ft_text *out)
{
    FT_TRY(add_program(out));
    FT_TRY(add_linked(out));
    FT_TRY(add_curl(out));
#ifdef FT_HAVE_CUDA
    FT_TRY(ft_cuda_library_versions(out));
#endif
    return FT_OK;
}
