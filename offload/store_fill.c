// One extent: codes of its tensors, block by block, their scale arrays, and the padding. One of random weights is made up stripe
// by stripe, on all threads.
#include "common/log.h"
#include "common/memory.h"
#include "offload/source_scales.h"
#include "offload/store_hub.h"
#include "offload/store_random.h"
#include "offload/store_internal.h"

static size_t largest_scales(const ft_layout *layout)
{
    size_t count = 1;
    for (int r = 0; r < layout->n_records; r++)
        for (int i = 0; i < layout->record[r].n_tensors; i++) {
            const ft_record_tensor *tensor = &layout->record[r].tensor[i];
            size_t forward = ft_scale_count(tensor->kind, tensor->rows, tensor->cols);
            size_t backward = ft_scale_count(tensor->kind, tensor->cols, tensor->rows);
            if (forward > count) count = forward;
            if (backward > count) count = backward;
        }
    return count;
}

ft_status ft_store_filler_init(ft_store_filler *filler, const ft_store_source *source, const ft_store *random, ft_store_sink *sink)
{
    *filler = (ft_store_filler){.source = source, .random = random, .sink = sink};
    if (random != NULL) return FT_OK;
    size_t count = largest_scales(&source->layout);
    ft_status status = ft_converter_init(&filler->converter, source);
    if (status != FT_OK) return status;
    filler->scales = FT_NEW_ARRAY(float, count);
    filler->scales_t = filler->scales != NULL ? FT_NEW_ARRAY(float, count) : NULL;
    if (filler->scales_t != NULL) return FT_OK;
    ft_store_filler_free(filler);
    return FT_E_NOMEM;
}

void ft_store_filler_free(ft_store_filler *filler)
{
    ft_converter_free(&filler->converter);
    ft_free(filler->scales);
    ft_free(filler->scales_t);
    *filler = (ft_store_filler){0};
}

double ft_store_filler_done(const ft_store_filler *filler)
{
    return (double)(filler->shards != NULL ? ft_shards_fetched(filler->shards) : ft_store_sink_position(filler->sink));
}

static void show(ft_store_filler *filler)
{
    if (filler->progress != NULL) ft_progress_update(filler->progress, ft_store_filler_done(filler));
}

static ft_status add(ft_store_filler *filler, const void *data, int64_t bytes)
{
    FT_TRY(ft_store_sink_add(filler->sink, data, bytes));
    show(filler);
    return FT_OK;
}

static ft_status pad(ft_store_filler *filler, int record, int64_t to)
{
    return ft_store_sink_pad(filler->sink, (uint32_t)record, to);
}

// The codes of one part of a stacked matrix; `scales` is where its first row's scales belong.
static ft_status fill_part(ft_store_filler *filler, const ft_record_tensor *target, const ft_tensor_info *tensor, float *scales)
{
    int64_t rows = tensor->elements / target->cols;
    int64_t block = ft_converter_rows(&filler->converter, target->cols);
    int64_t row_bytes = target->cols * (int64_t)ft_dtype_bytes(target->dtype);
    ft_store_error unused = {0};
    ft_store_error *error = target->group < FT_GROUP_MATRICES ? &filler->error[target->group] : &unused;
    for (int64_t row = 0; row < rows; row += block) {
        const void *out;
        int64_t n = rows - row < block ? rows - row : block;
        if (filler->cancel != NULL && *filler->cancel) return FT_E_STOPPED;
        FT_TRY(ft_convert_rows(&filler->converter, filler->source, tensor, target, row, n, scales, error, &out));
        FT_TRY(add(filler, out, n * row_bytes));
    }
    return FT_OK;
}

static ft_status fill_scales(ft_store_filler *filler, int record, const ft_record_tensor *target)
{
    int64_t forward = 4 * (int64_t)ft_scale_count(target->kind, target->rows, target->cols);
    int64_t backward = 4 * (int64_t)ft_scale_count(target->kind, target->cols, target->rows);
    FT_TRY(pad(filler, record, target->scales));
    FT_TRY(add(filler, filler->scales, forward));
    if (target->kind != FT_SCALE_TILE) return FT_OK;
    ft_scale_transpose(filler->scales_t, filler->scales, target->rows, target->cols);
    FT_TRY(pad(filler, record, target->scales_t));
    return add(filler, filler->scales_t, backward);
}

// Where the scales of a matrix's row belong, NULL if it has none. Stacked parts share no scale (record.h).
static float *scales_at(ft_store_filler *filler, const ft_record_tensor *target, int64_t row)
{
    if (target->kind == FT_SCALE_NONE) return NULL;
    if (target->kind == FT_SCALE_TILE) return filler->scales + row / FT_TILE * ft_scale_stride(target->cols);
    return filler->scales + row;
}

static ft_status fill_tensor(ft_store_filler *filler, int record, const ft_record_tensor *target)
{
    const ft_store_source *source = filler->source;
    int64_t row0 = 0;
    size_t n_scales = ft_scale_count(target->kind, target->rows, target->cols);
    for (size_t i = 0; i < n_scales; i++) filler->scales[i] = 1.0f;
    FT_TRY(pad(filler, record, target->codes));
    for (int part = 0; part < target->n_parts; part++) {
        const ft_tensor_info *tensor = ft_store_source_tensor(source, target->role + part, source->layout.record[record].layer);
        float *scales = scales_at(filler, target, row0);
        bool as_it_is = target->kind != FT_SCALE_NONE && tensor->dtype == target->dtype;
        if (as_it_is) FT_TRY(ft_source_scales_read(&source->files, tensor, target->kind, scales));
        FT_TRY(fill_part(filler, target, tensor, scales));
        row0 += tensor->elements / target->cols;
    }
    return target->kind != FT_SCALE_NONE ? fill_scales(filler, record, target) : FT_OK;
}

static void make_up(const void *random, const ft_stripe *stripe, void *data)
{
    ft_store_random_fill(random, (int)stripe->record, stripe->record_offset, stripe->bytes, data);
}

static ft_status make_up_extent(ft_store_filler *filler, ft_extent extent)
{
    for (int64_t n = ft_extent_stripes(extent); n > 0; n--) {
        if (filler->cancel != NULL && *filler->cancel) return FT_E_STOPPED;
        FT_TRY(ft_store_sink_fill(filler->sink, make_up, filler->random));
        show(filler);
    }
    return FT_OK;
}

ft_status ft_store_fill_extent(ft_store_filler *filler, int record, ft_group group)
{
    const ft_record *layout = &filler->source->layout.record[record];
    if (filler->random != NULL) return make_up_extent(filler, layout->extent[group]);
    for (int i = 0; i < layout->n_tensors; i++)
        if (layout->tensor[i].group == group) FT_TRY(fill_tensor(filler, record, &layout->tensor[i]));
    return pad(filler, record, layout->extent[group].offset + layout->extent[group].bytes);
}
