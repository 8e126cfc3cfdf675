// What the fuzz targets share.
//
// A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput. It is built twice: with replay.c as a test that runs the files
// of corpus/NAME (every build, every CI run), and, with -DFT_FUZZ=ON and clang, as the libFuzzer program that finds new ones
// (scripts/fuzz.sh). A target calls the code that meets hostile bytes, asserts what must hold of anything it accepts, and
// returns 0. Errors of that code are expected; crashes, leaks, hangs and sanitizer reports are findings.
#ifndef FT_TESTS_FUZZ_H
#define FT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), abort()))

// Readers that want a path get the bytes as a file in memory. Valid until the next call.
__attribute__((unused)) static const char *fuzz_file(const uint8_t *data, size_t size)
{
    static char path[32];
    static int file = -1;
    if (file < 0) file = memfd_create("fuzz", 0);
    FUZZ_CHECK(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}

#endif
