// ft-bench model: a random-weight checkpoint of any geometry, for trying stores, budgets and plans without a download.
#include <stdlib.h>
#include <string.h>

#include "arch/shape.h"
#include "bench/probes.h"
#include "common/codec.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/normal.h"
#include "common/rng.h"
#include "common/threads.h"
#include "io/safetensors.h"

ft_status ft_bench_shape(ft_shape *shape, const ft_bench_options *o)
{
    if (o->geometry) {
        FT_TRY(ft_shape_geometry(shape, o->geometry));
        if (o->layers > 0) shape->layers = o->layers;
        return FT_OK;
    }
    if (o->heads < 1 || o->kv_heads < 1 || o->hidden % o->heads || o->heads % o->kv_heads || o->hidden % 4)
        return ft_error(FT_E_USAGE, "hidden must be a multiple of heads and of 4, heads of kv-heads");
    *shape = (ft_shape){.family = ft_families[0], .hidden = o->hidden, .ffn = o->ffn, .layers = o->layers > 0 ? o->layers : 8, .q_heads = o->heads,
                        .kv_heads = o->kv_heads, .head_dim = o->hidden / o->heads, .vocab = o->vocab, .max_positions = 8192, .norm_eps = 1e-5,
                        .rope_theta = 10000, .dtype = FT_DTYPE_BF16, .tied = false};
    return FT_OK;
}

static json_t *rope_scaling(const ft_shape *shape)
{
    if (shape->rope != FT_ROPE_LLAMA3) return json_null();
    return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", shape->rope_factor, "low_freq_factor", shape->rope_low_freq,
                     "high_freq_factor", shape->rope_high_freq, "original_max_position_embeddings", (json_int_t)shape->rope_original_positions);
}

static json_t *config_of(const ft_shape *shape)
{
    return json_pack("{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:s, s:b, s:s}", "architectures", shape->family->architecture,
                     "model_type", shape->family->model_type, "hidden_size", (json_int_t)shape->hidden, "intermediate_size", (json_int_t)shape->ffn,
                     "num_hidden_layers", (json_int_t)shape->layers, "num_attention_heads", (json_int_t)shape->q_heads, "num_key_value_heads",
                     (json_int_t)shape->kv_heads, "head_dim", (json_int_t)shape->head_dim, "vocab_size", (json_int_t)shape->vocab,
                     "max_position_embeddings", (json_int_t)shape->max_positions, "rms_norm_eps", shape->norm_eps, "rope_theta", shape->rope_theta,
                     "rope_scaling", rope_scaling(shape), "hidden_act", "silu", "tie_word_embeddings", shape->tied, "torch_dtype", "bfloat16");
}

static ft_status write_json(json_t *config, const char *directory)
{
    char *path = ft_path_join(directory, "config.json"), *text = config ? json_dumps(config, JSON_INDENT(1)) : NULL;
    ft_status status = path && text ? ft_file_write(path, text, strlen(text)) : FT_E_NOMEM;
    json_decref(config);
    free(text);
    ft_free(path);
    return status;
}

ft_status ft_bench_write_config(const ft_bench_options *options, const char *directory)
{
    ft_shape shape;
    FT_TRY(ft_bench_shape(&shape, options));
    FT_TRY(ft_make_directories(directory));
    return write_json(config_of(&shape), directory);
}

// A list with an entry for every layer, where the config has one, is cut to fit.
static void set_layers(json_t *config, int64_t layers)
{
    json_t *types = json_object_get(config, "layer_types");
    json_object_set_new(config, "num_hidden_layers", json_integer((json_int_t)layers));
    while (json_array_size(types) > (size_t)layers) json_array_remove(types, json_array_size(types) - 1);
}

ft_status ft_bench_copy_config(const char *model, int64_t layers, const char *directory)
{
    json_error_t error;
    char *path = ft_path_join(model, "config.json");
    FT_ALLOC_CHECK(path);
    json_t *config = json_load_file(path, 0, &error);
    ft_status status = config ? FT_OK : ft_error(FT_E_INPUT, "%s:%d: %s", path, error.line, error.text);
    ft_free(path);
    FT_TRY(status);
    if (layers > 0) set_layers(config, layers);
    return write_json(config, directory);
}

// Calls visit for every tensor of the model, layer by layer.
typedef ft_status (*tensor_visit)(void *context, const ft_shape *shape, ft_role role, int64_t layer);
static ft_status each_tensor(const ft_shape *shape, tensor_visit visit, void *context)
{
    char name[FT_TENSOR_NAME];
    for (int64_t layer = 0; layer < shape->layers; layer++)
        for (int role = 0; role < FT_ROLE_LAYER_COUNT; role++)
            if (ft_shape_tensor_name(shape, (ft_role)role, layer, name)) FT_TRY(visit(context, shape, (ft_role)role, layer));
    for (int role = FT_ROLE_EMBED; role < FT_ROLE_COUNT; role++)
        if (ft_shape_tensor_name(shape, (ft_role)role, 0, name)) FT_TRY(visit(context, shape, (ft_role)role, 0));
    return FT_OK;
}

enum { PIECE = 32 << 20, BLOCK = 16, VALUES = BLOCK / 2 };  // bytes, bytes, values of a block
#define DEVIATION 0.02

typedef struct {
    ft_safetensors_writer *writer;
    uint64_t seed;
    uint32_t number;           // of the tensor, from 1
    int64_t block;             // of the tensor, where `piece` starts
    const ft_bf16 *values;     // quantiles of what is written: `matrix` or `vector`
    ft_bf16 matrix[65536], vector[65536];
    ft_bf16 piece[PIECE / 2];
    ft_progress progress;
    double done;
} generator;

static ft_status declare(void *context, const ft_shape *shape, ft_role role, int64_t layer)
{
    generator *g = context;
    char name[FT_TENSOR_NAME];
    int64_t sizes[2];
    ft_shape_role(shape, role, &sizes[0], &sizes[1]);
    ft_shape_tensor_name(shape, role, layer, name);
    bool vector = sizes[0] == 1;
    return ft_safetensors_declare(g->writer, name, FT_DTYPE_BF16, vector ? 1 : 2, vector ? &sizes[1] : sizes);
}

// Each block of values depends on (seed, tensor, its place) alone, so threads may share the work in any way.
static void fill_blocks(void *context, int64_t begin, int64_t end)
{
    generator *g = context;
    for (int64_t i = begin; i < end; i++) {
        uint64_t block = (uint64_t)(g->block + i);
        ft_rng_block bits = ft_rng(g->seed, FT_RNG_DATA, g->number, (uint32_t)(block >> 32), (uint32_t)block, 0);
        uint16_t index[VALUES];
        memcpy(index, bits.word, BLOCK);
        for (int k = 0; k < VALUES; k++) g->piece[i * VALUES + k] = g->values[index[k]];
    }
}

// Norm weights near 1; matrices normal with deviation 0.02, as checkpoints are initialised.
static ft_status write_tensor(void *context, const ft_shape *shape, ft_role role, int64_t layer)
{
    generator *g = context;
    int64_t rows, cols;
    ft_shape_role(shape, role, &rows, &cols);
    g->number++;
    g->values = rows == 1 ? g->vector : g->matrix;
    for (int64_t at = 0, bytes = rows * cols * 2; at < bytes; at += PIECE) {
        int64_t n = bytes - at < PIECE ? bytes - at : PIECE;
        g->block = at / BLOCK;
        ft_parallel_for((n + BLOCK - 1) / BLOCK, 4096, fill_blocks, g);
        FT_TRY(ft_safetensors_write(g->writer, g->piece, n));
        g->done += (double)n;
        ft_progress_update(&g->progress, g->done);
    }
    return FT_OK;
}

static void make_quantiles(generator *g)
{
    double x = -6;
    for (int i = 0; i < 65536; i++) {
        x = ft_normal_quantile_after(x, (i + 0.5) / 65536);
        g->matrix[i] = ft_f32_to_bf16((float)(DEVIATION * x));
        g->vector[i] = ft_f32_to_bf16((float)(1 + DEVIATION * x));
    }
}

static ft_status generate(generator *g, const ft_shape *shape, const char *directory)
{
    char *path = ft_path_join(directory, "model.safetensors");
    FT_ALLOC_CHECK(path);
    ft_status status = ft_safetensors_create(&g->writer, path);
    ft_free(path);
    FT_TRY(status);
    FT_TRY_GOTO(status, out, ft_safetensors_metadata_add(g->writer, "format", "pt"));
    FT_TRY_GOTO(status, out, each_tensor(shape, declare, g));
    FT_TRY_GOTO(status, out, ft_safetensors_begin(g->writer));
    ft_progress_begin(&g->progress, "writing random weights", "B", 2.0 * (double)ft_shape_parameters(shape));
    status = each_tensor(shape, write_tensor, g);
    ft_progress_end(&g->progress);
    if (status == FT_OK) status = ft_safetensors_finish(g->writer, false);
out:
    ft_safetensors_discard(g->writer);
    return status;
}

ft_status ft_bench_write_model(const ft_bench_options *options, const char *directory)
{
    ft_shape shape;
    FT_TRY(ft_bench_shape(&shape, options));
    FT_TRY(ft_bench_write_config(options, directory));
    generator *g = FT_NEW(generator);
    FT_ALLOC_CHECK(g);
    g->seed = options->seed;
    make_quantiles(g);
    ft_status status = generate(g, &shape, directory);
    ft_free(g);
    return status;
}

ft_status ft_bench_model(const ft_bench_options *options, ft_bench_report *report)
{
    ft_shape shape;
    if (options->output == NULL) return ft_error(FT_E_USAGE, "ft-bench model: give --output DIR");
    FT_TRY(ft_bench_write_model(options, options->output));
    FT_TRY(ft_bench_shape(&shape, options));
    ft_bench_report_add(report, &(ft_bench_result){.name = "random model", .unit = "M parameters", .value = (double)ft_shape_parameters(&shape) / 1e6});
    return FT_OK;
}
