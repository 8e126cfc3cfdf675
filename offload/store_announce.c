// What a build says: before it starts, the room it needs; at its end, what conversion changed.
#include <math.h>
#include <stdio.h>

#include "common/text.h"
#include "offload/source_scales.h"
#include "offload/store_hub.h"

// The error that conversion made, by matrix group. Nothing to say where the source was bf16 already.
static void announce_error(const ft_manifest *manifest)
{
    char text[160] = "";
    size_t n = 0;
    double all = ft_manifest_relative_error(manifest);
    for (ft_group g = 0; g < FT_GROUP_MATRICES && n < sizeof text; g++) {
        const ft_store_error *error = &manifest->error[g];
        double relative = error->norm_sq > 0 ? sqrt(error->error_sq / error->norm_sq) : 0;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %.2g", g > 0 ? ", " : "", ft_group_name(g), relative);
    }
    if (manifest->format == FT_BASE_FP8)
        ft_info("linear layers quantized to fp8 (E4M3, scales per 128x128 tile): relative error %.3g (%s)", all, text);
    else if (all > 0)
        ft_info("linear layers rounded to bf16: relative error %.3g (%s)", all, text);
}

// Linears of the layers, all and those kept in E4M3.
static void count_linears(const ft_layout *layout, int64_t *all, int64_t *fp8)
{
    *all = *fp8 = 0;
    for (int64_t r = 0; r < layout->shape.layers; r++)
        for (int i = 0; i < layout->record[r].n_tensors; i++) {
            const ft_record_tensor *tensor = &layout->record[r].tensor[i];
            if (tensor->group == FT_GROUP_SMALL) continue;
            *all += tensor->n_parts;
            if (tensor->dtype == FT_DTYPE_F8_E4M3) *fp8 += tensor->n_parts;
        }
}

// A quantized checkpoint loses nothing. What it says of activations (activation_scale_ub, input_scale) is for inference.
static void announce_as_it_is(const ft_layout *layout)
{
    const ft_quantization *quantization = &layout->shape.quantization;
    int64_t all, fp8;
    count_linears(layout, &all, &fp8);
    ft_info("FP8 as it is (%s, a scale per %s): %lld of %lld linears, the others in their own dtype; relative error 0; the "
            "checkpoint's scales of activations are not used", quantization->method, ft_source_scale_unit(quantization->kind), (long long)fp8,
            (long long)all);
}

void ft_announce_result(const ft_store_build *build)
{
    if (build->source.shape.quantization.method != NULL) announce_as_it_is(&build->source.layout);
    else announce_error(&build->manifest);
}

ft_status ft_announce_room(ft_store_build *build)
{
    char store[FT_HUMAN_BYTES], scratch[FT_HUMAN_BYTES], all[FT_HUMAN_BYTES];
    ft_store_access access;
    FT_TRY(ft_store_access_make(&access, &build->source, 0));
    build->directories.scratch = build->scratch;
    build->directories.scratch_bytes = ft_store_access_peak(&access, &build->source);
    ft_store_access_free(&access);
    ft_info("%s: %s in %d weight file%s; needs %s of store on %d drive%s, and at most %s of scratch at once in %s", build->source.directory,
            ft_human_bytes(all, (double)ft_shards_bytes(&build->source)), build->source.files.n_files, build->source.files.n_files > 1 ? "s" : "",
            ft_human_bytes(store, (double)build->source.layout.bytes), build->directories.n, build->directories.n > 1 ? "s" : "",
            ft_human_bytes(scratch, (double)build->directories.scratch_bytes), build->scratch);
    return FT_OK;
}
