// Which tensor of the GGUF becomes which of the output, and in which file.
#include <string.h>

#include "common/memory.h"
#include "import/import_internal.h"

#define DEFAULT_SHARD ((int64_t)5000000000)

static ft_status check_source(const import *im, const import_tensor *t)
{
    const ft_gguf_tensor *s = t->source;
    const char *path = im->series.files[s->file].path;
    bool fits = s->shape[0] == t->cols && (t->rows == 1 ? s->rank == 1 : s->rank == 2 && s->shape[1] == t->rows);
    if (!fits)
        return ft_error(FT_E_INPUT, "%s: tensor %.*s has rank %d and begins [%lld, ...], not the [%lld, %lld] of the metadata", path,
                        (int)s->name.bytes, s->name.data, s->rank, (long long)s->shape[0], (long long)t->cols, (long long)t->rows);
    if (s->encoding->dequantize != NULL) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: tensor %.*s is %s; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K are "
                    "supported", path, (int)s->name.bytes, s->name.data, s->encoding->name);
}

static int64_t output_bytes(const import *im, const ft_gguf_tensor *source)
{
    return source->elements * (int64_t)ft_dtype_bytes(im->options->dtype);
}

// Adds the tensor of a role, if the model has one.
static ft_status add_role(import *im, ft_role role, int64_t layer)
{
    import_tensor *t = &im->tensors[im->n_tensors];
    char source[FT_TENSOR_NAME];
    if (!ft_shape_tensor_name(&im->shape, role, layer, t->name)) return FT_OK;
    ft_import_source_name(role, layer, source);
    t->role = role;
    t->source = ft_gguf_series_find(&im->series, source);
    if (t->source == NULL) return ft_error(FT_E_INPUT, "%s: tensor %s is missing", im->file->path, source);
    ft_shape_role(&im->shape, role, &t->rows, &t->cols);
    FT_TRY(check_source(im, t));
    im->total_bytes += output_bytes(im, t->source);
    im->n_tensors++;
    return FT_OK;
}

// Every tensor of a part must have been taken, or the model computes something else than config.json says.
static ft_status check_rest(const import *im, int part)
{
    const ft_gguf *file = &im->series.files[part];
    bool *used = FT_NEW_ARRAY(bool, file->n_tensors + 1);
    FT_ALLOC_CHECK(used);
    for (int64_t i = 0; i < im->n_tensors; i++) {
        if (im->tensors[i].source->file == part) used[im->tensors[i].source - file->tensors] = true;
    }
    const ft_gguf_tensor *rest = NULL;
    for (int i = 0; i < file->n_tensors && rest == NULL; i++) {
        if (!used[i] && !ft_gguf_text_is(file->tensors[i].name, "rope_freqs.weight")) rest = &file->tensors[i];
    }
    ft_free(used);
    if (rest == NULL) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: tensor %.*s has no place in a %s model", file->path, (int)rest->name.bytes, rest->name.data,
                    im->family->model_type);
}

static int64_t source_tensors(const import *im)
{
    int64_t n = 0;
    for (int part = 0; part < im->series.n_files; part++) n += im->series.files[part].n_tensors;
    return n;
}

static ft_status list_tensors(import *im)
{
    int64_t most = source_tensors(im) + 1;  // each role takes a tensor of its own; one more is tried before it is missed
    FT_ALLOC_CHECK(im->tensors = FT_NEW_ARRAY(import_tensor, most));
    FT_TRY(add_role(im, FT_ROLE_EMBED, 0));
    for (int64_t layer = 0; layer < im->shape.layers; layer++)
        for (int role = 0; role < FT_ROLE_LAYER_COUNT; role++) FT_TRY(add_role(im, (ft_role)role, layer));
    FT_TRY(add_role(im, FT_ROLE_FINAL_NORM, 0));
    FT_TRY(add_role(im, FT_ROLE_HEAD, 0));
    for (int part = 0; part < im->series.n_files; part++) FT_TRY(check_rest(im, part));
    return FT_OK;
}

ft_status ft_import_plan(import *im)
{
    int64_t most = im->options->shard_bytes > 0 ? im->options->shard_bytes : DEFAULT_SHARD;
    FT_TRY(list_tensors(im));
    FT_ALLOC_CHECK(im->entries = FT_NEW_ARRAY(ft_model_entry, im->n_tensors));
    for (int64_t i = 0; i < im->n_tensors; i++)
        im->entries[i] = (ft_model_entry){im->tensors[i].name, output_bytes(im, im->tensors[i].source)};
    return ft_model_shards_cut(&im->shards, &im->n_shards, im->entries, im->n_tensors, most);
}

void ft_import_plan_free(import *im)
{
    ft_model_shards_free(im->shards, im->n_shards);
    ft_free(im->entries);
    ft_free(im->tensors);
}
