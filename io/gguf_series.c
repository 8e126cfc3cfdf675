// Models split over several GGUF files.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "io/gguf.h"

#define MOST_PARTS 99999  // what the names have digits for
#define TAIL_BYTES 20     // "-00001-of-00002.gguf"

// A whole number among the metadata, `absent` if it is not there.
static int64_t number(const ft_gguf *file, const char *key, int64_t absent)
{
    const ft_gguf_value *value = ft_gguf_find(file, key);
    return value != NULL && !value->is_array && ft_gguf_is_integer(value) ? ft_gguf_integer(value, 0) : absent;
}

// Heap; NULL after an error. `first` is the path of the first part.
static char *part_path(const char *first, int64_t part, int64_t n)
{
    char tail[64];
    size_t length = strlen(first);
    snprintf(tail, sizeof tail, "-00001-of-%05" PRId64 ".gguf", n);
    if (length < TAIL_BYTES || strcmp(first + length - TAIL_BYTES, tail) != 0) {
        ft_error(FT_E_INPUT, "%s: is the first of %" PRId64 " parts, but its name does not end in %s: the others cannot be found",
                 first, n, tail);
        return NULL;
    }
    return ft_format("%.*s-%05" PRId64 "-of-%05" PRId64 ".gguf", (int)(length - TAIL_BYTES), first, part + 1, n);
}

static ft_status check_part(const ft_gguf_series *series, int part, int64_t n)
{
    const ft_gguf *file = &series->files[part];
    if (number(file, "split.no", -1) != part || number(file, "split.count", -1) != n)
        return ft_error(FT_E_INPUT, "%s: does not say that it is part %d of %" PRId64, file->path, part + 1, n);
    for (int i = 0; i < file->n_tensors; i++) {
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)file->tensors[i].name.bytes, file->tensors[i].name.data);
        const ft_gguf_tensor *earlier = ft_gguf_series_find(series, name);
        if (earlier != &file->tensors[i])
            return ft_error(FT_E_INPUT, "%s: tensor %s is in %s too", file->path, name, series->files[earlier->file].path);
    }
    return FT_OK;
}

static ft_status open_part(ft_gguf_series *series, const char *first, int64_t n)
{
    int part = series->n_files;
    char *path = part_path(first, part, n);
    if (path == NULL) return FT_E_INPUT;
    ft_status status = ft_gguf_open(&series->files[part], path);
    ft_free(path);
    FT_TRY(status);
    series->n_files++;
    for (int i = 0; i < series->files[part].n_tensors; i++) series->files[part].tensors[i].file = part;
    return check_part(series, part, n);
}

static ft_status open_rest(ft_gguf_series *series, int64_t n)
{
    const ft_gguf *first = &series->files[0];
    if (n > MOST_PARTS) return ft_error(FT_E_INPUT, "%s: split.count of %" PRId64, first->path, n);
    if (number(first, "split.no", -1) != 0)
        return ft_error(FT_E_INPUT, "%s: is not the first of its %" PRId64 " parts; give ...-00001-of-%05" PRId64 ".gguf", first->path,
                        n, n);
    ft_gguf *files = ft_realloc(series->files, (size_t)n * sizeof *files);
    FT_ALLOC_CHECK(files);
    series->files = files;
    while (series->n_files < n) FT_TRY(open_part(series, files[0].path, n));
    int64_t tensors = 0, expected = number(&files[0], "split.tensors.count", -1);
    for (int i = 0; i < series->n_files; i++) tensors += files[i].n_tensors;
    if (expected < 0 || expected == tensors) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: the parts have %" PRId64 " tensors, not the %" PRId64 " of split.tensors.count", files[0].path,
                    tensors, expected);
}

ft_status ft_gguf_series_open(ft_gguf_series *series, const char *path)
{
    *series = (ft_gguf_series){.files = FT_NEW(ft_gguf)};
    FT_ALLOC_CHECK(series->files);
    ft_status status = ft_gguf_open(&series->files[0], path);
    if (status == FT_OK) series->n_files = 1;
    int64_t n = status == FT_OK ? number(&series->files[0], "split.count", 1) : 0;
    if (n > 1) status = open_rest(series, n);
    if (status != FT_OK) ft_gguf_series_close(series);
    return status;
}

void ft_gguf_series_close(ft_gguf_series *series)
{
    for (int i = 0; i < series->n_files; i++) ft_gguf_close(&series->files[i]);
    ft_free(series->files);
    *series = (ft_gguf_series){0};
}

const ft_gguf_tensor *ft_gguf_series_find(const ft_gguf_series *series, const char *name)
{
    for (int i = 0; i < series->n_files; i++) {
        const ft_gguf_tensor *tensor = ft_gguf_find_tensor(&series->files[i], name);
        if (tensor != NULL) return tensor;
    }
    return NULL;
}

ft_status ft_gguf_series_read(const ft_gguf_series *series, const ft_gguf_tensor *tensor, int64_t begin, int64_t n, void *dst)
{
    FT_ASSERT(tensor->file >= 0 && tensor->file < series->n_files);
    return ft_gguf_read(&series->files[tensor->file], tensor, begin, n, dst);
}
