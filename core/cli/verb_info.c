// ft-single info: what a model is, from config.json and, if they are there, the headers of its safetensors files. Of a model that is
// at the hub alone, config.json and the index are fetched, and of one without an index its header.
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "arch/quantization.h"
#include "cli/print.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "common/file.h"
#include "common/memory.h"
#include "io/hub.h"
#include "io/safetensors.h"
#include "offload/record.h"

static const ft_flag flags[] = {
    {"json", FT_FLAG_SWITCH, NULL, "print as JSON", 0, 0},
    {NULL},
};

typedef struct {
    ft_shape shape;
    int64_t parameters, bf16_bytes, fp8_bytes, layer_fp8_bytes;
    int files, tensors;
    int64_t file_bytes;
    bool remote;  // the files are at the hub
} model_info;

static ft_status base_bytes(const ft_shape *shape, const char *directory, ft_base_format format, int64_t *all, int64_t *layer)
{
    ft_layout layout;
    FT_TRY(ft_layout_expect(&layout, shape, format, directory));
    *all = layout.bytes;
    if (layer) *layer = layout.layer_bytes_max;
    ft_layout_free(&layout);
    return FT_OK;
}

static ft_status read_shape(model_info *info, const char *directory)
{
    FT_TRY(ft_shape_read(&info->shape, directory));
    info->parameters = ft_shape_parameters(&info->shape);
    bool quantized = info->shape.quantization.method != NULL;
    if (!quantized) FT_TRY(base_bytes(&info->shape, directory, FT_BASE_BF16, &info->bf16_bytes, NULL));
    return base_bytes(&info->shape, directory, FT_BASE_FP8, &info->fp8_bytes, &info->layer_fp8_bytes);
}

static ft_status read_info(model_info *info, const char *directory)
{
    FT_TRY(read_shape(info, directory));
    ft_model_files files;
    ft_status status = ft_model_files_open(&files, directory);
    if (status == FT_E_NOT_FOUND) return FT_OK;  // config.json alone is enough
    FT_TRY(status);
    info->files = files.n_files;
    info->tensors = files.n_tensors;
    info->file_bytes = files.total_bytes;
    ft_model_files_close(&files);
    return FT_OK;
}

// ---- at the hub

enum { MAX_HEADER_BYTES = 100 << 20 };

// Tensors of an index, and their bytes if it tells them.
static void read_index(model_info *info, const char *directory)
{
    char *path = ft_path_join(directory, "model.safetensors.index.json");
    json_t *index = path ? json_load_file(path, 0, NULL) : NULL, *total = json_object_get(json_object_get(index, "metadata"), "total_size");
    info->tensors = (int)json_object_size(json_object_get(index, "weight_map"));
    if (json_is_number(total)) info->file_bytes = (int64_t)json_number_value(total);
    json_decref(index);
    ft_free(path);
}

// Of one file without an index, from its header: 8 bytes of its length, and its JSON.
static ft_status read_header(model_info *info, const ft_hub_listing *listing, const ft_hub_file *file)
{
    uint64_t bytes = 0;
    if (file->bytes < 8) return FT_OK;
    FT_TRY(ft_hub_read(listing, file, 0, &bytes, 8, &ft_stop_requested));
    bytes = le64toh(bytes);
    if (bytes > MAX_HEADER_BYTES || (int64_t)bytes > file->bytes - 8) return ft_error(FT_E_INPUT, "%s: %s: not a safetensors file", listing->repository, file->path);
    char *text = ft_malloc(bytes + 1);
    FT_ALLOC_CHECK(text);
    ft_status status = ft_hub_read(listing, file, 8, text, (int64_t)bytes, &ft_stop_requested);
    json_t *header = status == FT_OK ? json_loadb(text, bytes, 0, NULL) : NULL;
    json_object_del(header, "__metadata__");
    info->tensors = (int)json_object_size(header);
    info->file_bytes = file->bytes - 8 - (int64_t)bytes;
    json_decref(header);
    ft_free(text);
    return status;
}

static ft_status read_weights(model_info *info, const ft_hub_listing *listing, const char *directory)
{
    const ft_hub_file *single = ft_hub_listing_find(listing, "model.safetensors");
    for (int i = 0; i < listing->n_files; i++) {
        const ft_hub_file *file = &listing->files[i];
        if (!ft_name_ends_with(file->path, ".safetensors") || !ft_hub_chosen(listing, NULL, file->path)) continue;
        info->files++;
        info->file_bytes += file->bytes;
    }
    read_index(info, directory);
    return single && info->tensors == 0 ? read_header(info, listing, single) : FT_OK;
}

static ft_status read_listing(model_info *info, const ft_hub_listing *listing)
{
    static const char *const names[] = {"config.json", "model.safetensors.index.json"};
    ft_hub_options options = {.include = names, .n_include = 2, .quiet = true};
    char *directory;
    FT_TRY(ft_hub_download(listing, &options, &ft_stop_requested, &directory));
    ft_status status = read_shape(info, directory);
    if (status == FT_OK) status = read_weights(info, listing, directory);
    ft_free(directory);
    return status;
}

static ft_status read_from_hub(model_info *info, const char *id)
{
    ft_hub_listing listing;
    info->remote = true;
    FT_TRY(ft_hub_list(&listing, FT_HUB_MODEL, id, NULL, &ft_stop_requested));
    ft_status status = read_listing(info, &listing);
    ft_hub_listing_free(&listing);
    return status;
}

// A path, or what of an id is in the cache with its weights; else the hub, unless that is forbidden.
static ft_status read_model(model_info *info, const char *model)
{
    char *directory;
    bool ask = !ft_path_exists(model) && ft_hub_is_id(model) && !ft_hub_offline();
    ft_status status = ft_hub_locate(FT_HUB_MODEL, model, NULL, &directory);
    if (ask && (status == FT_E_NOT_FOUND || (status == FT_OK && !ft_hub_has_weights(directory)))) status = read_from_hub(info, model);
    else if (status == FT_OK) status = read_info(info, directory);
    ft_free(directory);
    return status;
}

// ---- output

// What sets the family's layer apart from Llama's.
static void print_layer(const ft_shape *s)
{
    if (s->qkv_bias) printf("biases on q, k and v\n");
    if (s->qk_norm) printf("q and k heads normed before rope\n");
    if (s->window > 0) printf("sliding window of %lld tokens: sequence_len up to that\n", (long long)s->window);
}

// "405.9 B", "134.5 M" or all digits.
static void print_parameters(int64_t n)
{
    if (n >= 1000000000) printf("%.1f B parameters", (double)n / 1e9);
    else if (n >= 1000000) printf("%.1f M parameters", (double)n / 1e6);
    else printf("%lld parameters", (long long)n);
}

static void print_text(const model_info *info)
{
    const ft_shape *s = &info->shape;
    char a[FT_HUMAN_BYTES], b[FT_HUMAN_BYTES];
    printf("%s (%s), %s\n", s->family->architecture, s->family->model_type, ft_dtype_name(s->dtype));
    printf("%lld layers, hidden %lld, ffn %lld, heads %lld query / %lld key-value of %lld, vocab %lld, %s embeddings\n", (long long)s->layers,
           (long long)s->hidden, (long long)s->ffn, (long long)s->q_heads, (long long)s->kv_heads, (long long)s->head_dim, (long long)s->vocab,
           s->tied ? "tied" : "untied");
    printf("rope %s, theta %g; %lld positions\n", s->rope == FT_ROPE_LLAMA3 ? "llama3" : "default", s->rope_theta, (long long)s->max_positions);
    print_layer(s);
    print_parameters(info->parameters);
    printf("; base store %s in FP8 (a layer %s)", ft_human_bytes(a, (double)info->fp8_bytes), ft_human_bytes(b, (double)info->layer_fp8_bytes));
    if (s->quantization.method == NULL) printf(", %s in BF16\n", ft_human_bytes(a, (double)info->bf16_bytes));
    else printf("; FP8 as it is: %s, scales per %s\n", s->quantization.method, ft_scale_kind_name(s->quantization.kind));
    if (info->files) printf("%d tensors in %d file%s, %s%s\n", info->tensors, info->files, info->files == 1 ? "" : "s", ft_human_bytes(a, (double)info->file_bytes),
                            info->remote ? " at the hub" : "");
    else printf("no weights in the %s\n", info->remote ? "repository" : "directory");
}

static ft_status print_json(const model_info *info)
{
    const ft_shape *s = &info->shape;
    json_t *json = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:I}", "architecture",
                             s->family->architecture, "layers", (json_int_t)s->layers, "hidden", (json_int_t)s->hidden, "ffn", (json_int_t)s->ffn,
                             "q_heads", (json_int_t)s->q_heads, "kv_heads", (json_int_t)s->kv_heads, "head_dim", (json_int_t)s->head_dim, "vocab",
                             (json_int_t)s->vocab, "tied", s->tied, "qkv_bias", s->qkv_bias, "qk_norm", s->qk_norm, "sliding_window",
                             (json_int_t)s->window, "parameters", (json_int_t)info->parameters, "store_fp8_bytes", (json_int_t)info->fp8_bytes,
                             "layer_fp8_bytes", (json_int_t)info->layer_fp8_bytes, "store_bf16_bytes", (json_int_t)info->bf16_bytes, "files",
                             info->files, "tensors", info->tensors, "file_bytes", (json_int_t)info->file_bytes);
    if (s->quantization.method != NULL) {
        json_object_del(json, "store_bf16_bytes");
        json_object_set_new(json, "quantization", json_pack("{s:s, s:s}", "method", s->quantization.method, "scales",
                                                            ft_scale_kind_name(s->quantization.kind)));
    }
    return ft_print_json(json);
}

static ft_status run(ft_invocation *in)
{
    if (in->positional.n != 1) return ft_error(FT_E_USAGE, "info: give one model directory or hub id");
    model_info info = {0};
    FT_TRY(read_model(&info, in->positional.items[0]));
    if (ft_args_given(in, "json")) return print_json(&info);
    print_text(&info);
    return FT_OK;
}

const ft_verb ft_verb_info = {"info", NULL, "MODEL [--json]", "parameters, sizes and store bytes of a model, from its headers alone", flags, false, run, 1};
