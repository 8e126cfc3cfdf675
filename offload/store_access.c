// The static access list of a conversion: which extents need which weight files.
#include <stdlib.h>

#include "common/memory.h"
#include "offload/source_scales.h"
#include "offload/store_hub.h"

static void use(ft_store_access *access, const ft_tensor_info *tensor, int extent)
{
    if (extent < access->first[tensor->file]) access->first[tensor->file] = extent;
    if (extent > access->last[tensor->file]) access->last[tensor->file] = extent;
}

// The tensors of one matrix or vector, and the scales they come with.
static ft_status use_parts(ft_store_access *access, const ft_store_source *source, int record, const ft_record_tensor *target)
{
    int extent = ft_extent_number(record, target->group);
    if (extent < access->begin) return FT_OK;
    for (int part = 0; part < target->n_parts; part++) {
        const ft_tensor_info *scales, *tensor = ft_store_source_tensor(source, target->role + part, source->layout.record[record].layer);
        use(access, tensor, extent);
        if (tensor->dtype != FT_DTYPE_F8_E4M3) continue;
        FT_TRY(ft_source_scales_find(&source->files, tensor, target->kind, &scales));
        use(access, scales, extent);
    }
    return FT_OK;
}

static ft_status use_all(ft_store_access *access, const ft_store_source *source)
{
    for (int r = 0; r < source->layout.n_records; r++)
        for (int i = 0; i < source->layout.record[r].n_tensors; i++)
            FT_TRY(use_parts(access, source, r, &source->layout.record[r].tensor[i]));
    return FT_OK;
}

static int by_first_need(const void *a, const void *b, void *context)
{
    const ft_store_access *access = context;
    int left = *(const int *)a, right = *(const int *)b;
    int difference = access->first[left] - access->first[right];
    return difference != 0 ? difference : left - right;
}

ft_status ft_store_access_make(ft_store_access *access, const ft_store_source *source, int begin)
{
    int n = source->files.n_files;
    *access = (ft_store_access){.begin = begin, .end = ft_extent_number(source->layout.n_records, 0), .n_files = n};
    access->first = FT_NEW_ARRAY(int, n);
    access->last = FT_NEW_ARRAY(int, n);
    access->order = FT_NEW_ARRAY(int, n);
    ft_status status = access->first != NULL && access->last != NULL && access->order != NULL ? FT_OK : FT_E_NOMEM;
    for (int i = 0; i < n && status == FT_OK; i++) {
        access->first[i] = access->end;
        access->last[i] = -1;
    }
    if (status == FT_OK) status = use_all(access, source);
    for (int i = 0; i < n && status == FT_OK; i++)
        if (access->last[i] >= 0) access->order[access->n_needed++] = i;
    if (status == FT_OK) qsort_r(access->order, (size_t)access->n_needed, sizeof *access->order, by_first_need, access);
    else ft_store_access_free(access);
    return status;
}

void ft_store_access_free(ft_store_access *access)
{
    ft_free(access->first);
    ft_free(access->last);
    ft_free(access->order);
    *access = (ft_store_access){0};
}

// Files on disk while `extent` is made.
static int64_t bytes_at(const ft_store_access *access, const ft_store_source *source, int extent)
{
    int64_t bytes = 0;
    for (int i = 0; i < access->n_needed; i++) {
        int file = access->order[i];
        bool ahead = access->first[file] > extent;
        if (ahead || access->last[file] >= extent) bytes += source->files.files[file].file_bytes;
        if (ahead) break;
    }
    return bytes;
}

int64_t ft_store_access_peak(const ft_store_access *access, const ft_store_source *source)
{
    int64_t peak = 0;
    for (int extent = access->begin; extent < access->end; extent++) {
        int64_t bytes = bytes_at(access, source, extent);
        if (bytes > peak) peak = bytes;
    }
    return peak;
}
