// Loading goes through the manifest's entries, not through the files' own headers: whoever wrote which slice, the entries say
// where it lies.
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "train/adapter_file.h"
#include "train/checkpoint_state.h"

typedef struct {
    const char *directory;
    const ft_checkpoint_manifest *manifest;
    const ft_checkpoint_manifest_entry **sorted;  // by parameter, then by first row
    int64_t used;
} reader;

static int by_parameter(const void *a, const void *b)
{
    const ft_checkpoint_manifest_entry *left = *(const ft_checkpoint_manifest_entry *const *)a,
                                       *right = *(const ft_checkpoint_manifest_entry *const *)b;
    int order = strcmp(left->parameter, right->parameter);
    return order != 0 ? order : (left->begin[0] > right->begin[0]) - (left->begin[0] < right->begin[0]);
}

static ft_status sort_entries(reader *r)
{
    FT_ALLOC_CHECK(r->sorted = FT_NEW_ARRAY(const ft_checkpoint_manifest_entry *, r->manifest->n_entries));
    for (int64_t i = 0; i < r->manifest->n_entries; i++) r->sorted[i] = &r->manifest->entries[i];
    qsort(r->sorted, (size_t)r->manifest->n_entries, sizeof *r->sorted, by_parameter);
    return FT_OK;
}

// Position of the first entry of a parameter, n_entries if there is none.
static int64_t find_first(const reader *r, const char *parameter)
{
    int64_t low = 0, high = r->manifest->n_entries;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(r->sorted[middle]->parameter, parameter) < 0) low = middle + 1;
        else high = middle;
    }
    return low < r->manifest->n_entries && strcmp(r->sorted[low]->parameter, parameter) == 0 ? low : r->manifest->n_entries;
}

static ft_status check_entry(const reader *r, const ft_checkpoint_manifest_entry *entry, const ft_adapter_tensor *tensor, int64_t row)
{
    if (entry->rank != 2 || entry->shape[0] != tensor->rows || entry->shape[1] != tensor->cols)
        return ft_error(FT_E_INPUT, "%s: %s is [%lld, %lld] in the checkpoint and [%lld, %lld] in this run", r->directory,
                        entry->parameter, (long long)entry->shape[0], (long long)(entry->rank > 1 ? entry->shape[1] : 1),
                        (long long)tensor->rows, (long long)tensor->cols);
    if (entry->dtype != FT_DTYPE_F32)
        return ft_error(FT_E_UNSUPPORTED, "%s: %s is %s; only F32 is read", r->directory, entry->parameter, ft_dtype_name(entry->dtype));
    if (entry->begin[1] != 0 || entry->end[1] != tensor->cols)
        return ft_error(FT_E_UNSUPPORTED, "%s: %s is cut along its columns; only row slices are read", r->directory, entry->parameter);
    if (entry->begin[0] != row)
        return ft_error(FT_E_CORRUPT, "%s: the slices of %s do not tile it: row %lld is %s", r->directory, entry->parameter, (long long)row,
                        entry->begin[0] > row ? "missing" : "there twice");
    return FT_OK;
}

static ft_status load_tensor(reader *r, const char *parameter, const ft_adapter_tensor *tensor, float *values)
{
    int64_t row = 0;
    for (int64_t i = find_first(r, parameter); row < tensor->rows; i++) {
        if (i >= r->manifest->n_entries || strcmp(r->sorted[i]->parameter, parameter) != 0)
            return ft_error(FT_E_INPUT, "%s: %s is missing from row %lld on; the run was of another model, lora_r or lora_target_modules",
                            r->directory, parameter, (long long)row);
        FT_TRY(check_entry(r, r->sorted[i], tensor, row));
        FT_TRY(ft_checkpoint_manifest_read_entry(r->manifest, r->sorted[i], r->directory, values + row * tensor->cols));
        row = r->sorted[i]->end[0];
        r->used++;
    }
    return FT_OK;
}

static ft_status load_array(reader *r, const ft_adapter_layout *adapter, const ft_shape *shape, const char *prefix, float *values)
{
    char key[FT_ADAPTER_KEY], name[FT_ADAPTER_KEY + 32];
    memset(values, 0, (size_t)adapter->n_floats * sizeof *values);
    for (int64_t t = 0; t < adapter->n_tensors; t++) {
        ft_adapter_tensor_name(shape, &adapter->tensor[t], key);
        strcpy(name, prefix);
        strcat(name, key);
        FT_TRY(load_tensor(r, name, &adapter->tensor[t], values + adapter->tensor[t].offset));
    }
    return FT_OK;
}

static ft_status check_base(const char *directory, const ft_checkpoint_manifest *manifest, const char *base_id)
{
    if (strcmp(manifest->base_id, base_id) == 0) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: was trained on base %s, this run has base %s: use the same model and base_format", directory,
                    manifest->base_id, base_id);
}

// The layout's tensors were found; an entry that none of them used belongs to another adapter.
static ft_status check_all_used(const reader *r)
{
    if (r->used == r->manifest->n_entries) return FT_OK;
    return ft_error(FT_E_INPUT,
                    "%s: holds %lld tensors or slices, this run has use for %lld: it is of another lora_target_modules or model",
                    r->directory, (long long)r->manifest->n_entries, (long long)r->used);
}

ft_status ft_checkpoint_load(const char *directory, ft_run_state *state, const ft_adapter_layout *adapter, const ft_shape *shape,
                             const char *base_id, float *parameters, float *moment1, float *moment2)
{
    ft_checkpoint_manifest manifest;
    FT_TRY(ft_checkpoint_manifest_read(&manifest, directory));
    reader r = {.directory = directory, .manifest = &manifest};
    ft_status status = check_base(directory, &manifest, base_id);
    if (status == FT_OK) status = ft_run_state_get(state, directory, &manifest);
    if (status == FT_OK) status = sort_entries(&r);
    if (status == FT_OK) status = load_array(&r, adapter, shape, "", parameters);
    if (status == FT_OK) status = load_array(&r, adapter, shape, "exp_avg.", moment1);
    if (status == FT_OK) status = load_array(&r, adapter, shape, "exp_avg_sq.", moment2);
    if (status == FT_OK) status = check_all_used(&r);
    ft_free(r.sorted);
    ft_checkpoint_manifest_free(&manifest);
    return status;
}
