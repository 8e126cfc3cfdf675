#include "device/copy_cpu.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define LINE 64

// dst is aligned to a cache line; bytes is a multiple of one. Whole-line stores where the processor has them: measured within
// 4 % of glibc's page-interleaved copy of 1 GiB on a Xeon and 25 % above it on an EPYC; half lines lose 18 % on the Xeon.
__attribute__((target("avx512f"))) static void stream_lines_avx512(char *dst, const char *src, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += LINE) _mm512_stream_si512((__m512i *)(void *)(dst + i), _mm512_loadu_si512(src + i));
    _mm_sfence();
}

__attribute__((target("avx2"))) static void stream_lines_avx2(char *dst, const char *src, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += LINE) {
        __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(src + i));
        __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(src + i + 32));
        _mm256_stream_si256((__m256i *)(void *)(dst + i), low);
        _mm256_stream_si256((__m256i *)(void *)(dst + i + 32), high);
    }
    _mm_sfence();
}

static void copy_streaming(char *dst, const char *src, int64_t bytes)
{
    int64_t head = (int64_t)(-(uintptr_t)dst % LINE), lines = (bytes - head) / LINE * LINE;
    memcpy(dst, src, (size_t)head);
    if (__builtin_cpu_supports("avx512f")) stream_lines_avx512(dst + head, src + head, lines);
    else stream_lines_avx2(dst + head, src + head, lines);
    memcpy(dst + head + lines, src + head + lines, (size_t)(bytes - head - lines));
}

void ft_copy_cpu(void *dst, const void *src, int64_t bytes)
{
    if (bytes >= FT_COPY_STREAM && __builtin_cpu_supports("avx2")) copy_streaming(dst, src, bytes);
    else memcpy(dst, src, (size_t)bytes);
}
#else
void ft_copy_cpu(void *dst, const void *src, int64_t bytes)
{
    memcpy(dst, src, (size_t)bytes);
}
#endif
