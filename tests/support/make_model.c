#include "support/make_model.h"

#include <stdio.h>
#include <string.h>

#include "common/codec.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/rng.h"
#include "common/text.h"
#include "io/hash.h"
#include "io/safetensors.h"

#define CHUNK 16384  // elements made at a time

// One tensor of the model on its way to a file.
typedef struct {
    char name[FT_TENSOR_NAME];
    ft_dtype dtype;
    int rank;
    int64_t shape[2];
    int64_t elements;
} model_tensor;

typedef struct {
    const ft_test_model *model;
    const char *directory;
    ft_shape shape;
    model_tensor *tensors;
    int n_tensors;
} model_writer;

static const char *architecture(const ft_test_model *model)
{
    return model->architecture != NULL ? model->architecture : "LlamaForCausalLM";
}

static const ft_family *family_of(const ft_test_model *model)
{
    for (int i = 0; ft_families[i] != NULL; i++)
        if (strcmp(ft_families[i]->architecture, architecture(model)) == 0) return ft_families[i];
    return NULL;
}

static const char *torch_name(ft_dtype dtype)
{
    return dtype == FT_DTYPE_F32 ? "float32" : dtype == FT_DTYPE_F16 ? "float16" : "bfloat16";
}

static ft_status write_text(const char *directory, const char *name, const ft_text *text)
{
    char *path = ft_path_join(directory, name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_file_write(path, text->data, text->length);
    ft_free(path);
    return status;
}

static ft_status add_config(const ft_test_model *m, ft_text *text)
{
    const ft_family *family = family_of(m);
    if (family == NULL) return ft_error(FT_E_INPUT, "no family %s", architecture(m));
    int64_t kv_heads = m->config_kv_heads > 0 ? m->config_kv_heads : m->kv_heads;
    return ft_text_printf(text,
                          "{\"architectures\": [\"%s\"], \"model_type\": \"%s\", \"hidden_act\": \"silu\", \"hidden_size\": %lld, "
                          "\"intermediate_size\": %lld, \"num_hidden_layers\": %lld, \"num_attention_heads\": %lld, "
                          "\"num_key_value_heads\": %lld, \"head_dim\": %lld, \"vocab_size\": %lld, \"tie_word_embeddings\": %s, "
                          "\"torch_dtype\": \"%s\", \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, "
                          "\"max_position_embeddings\": 512, \"bos_token_id\": 1, \"eos_token_id\": 2}\n",
                          family->architecture, family->model_type, (long long)m->hidden, (long long)m->ffn, (long long)m->layers,
                          (long long)m->q_heads, (long long)kv_heads, (long long)m->head_dim, (long long)m->vocab,
                          m->tied ? "true" : "false", torch_name(m->dtype));
}

static ft_status write_config(model_writer *writer)
{
    ft_text text = {0};
    ft_status status = add_config(writer->model, &text);
    if (status == FT_OK) status = write_text(writer->directory, "config.json", &text);
    if (status == FT_OK) status = ft_shape_parse(&writer->shape, text.data, "config.json");
    writer->shape.kv_heads = writer->model->kv_heads;
    ft_text_free(&text);
    return status;
}

static bool is_vector(ft_role role)
{
    return role == FT_ROLE_ATTN_NORM || role == FT_ROLE_MLP_NORM || (role >= FT_ROLE_Q_BIAS && role <= FT_ROLE_K_NORM) ||
           role == FT_ROLE_FINAL_NORM;
}

static bool named(const char *fault, const char *name)
{
    return fault != NULL && strcmp(fault, name) == 0;
}

static void add_tensor(model_writer *writer, ft_role role, int64_t layer)
{
    const ft_test_model *model = writer->model;
    model_tensor tensor = {.dtype = model->dtype, .rank = is_vector(role) ? 1 : 2};
    int64_t rows, cols;
    if (role == FT_ROLE_HEAD && model->tied) return;
    if (!ft_shape_tensor_name(&writer->shape, role, layer, tensor.name) || named(model->omit, tensor.name)) return;
    ft_shape_role(&writer->shape, role, &rows, &cols);
    if (tensor.rank == 1 && model->vector_dtype != FT_DTYPE_NONE) tensor.dtype = model->vector_dtype;
    tensor.shape[0] = tensor.rank == 1 ? cols : rows;
    tensor.shape[1] = tensor.rank == 1 ? 1 : cols;
    if (named(model->misshape, tensor.name)) tensor.shape[0]++;
    tensor.elements = tensor.shape[0] * tensor.shape[1];
    writer->tensors[writer->n_tensors++] = tensor;
}

static ft_status list_tensors(model_writer *writer)
{
    int64_t most = writer->shape.layers * FT_ROLE_LAYER_COUNT + FT_ROLE_COUNT;
    writer->tensors = FT_NEW_ARRAY(model_tensor, most);
    FT_ALLOC_CHECK(writer->tensors);
    add_tensor(writer, FT_ROLE_EMBED, -1);
    for (int64_t layer = 0; layer < writer->shape.layers; layer++)
        for (ft_role role = 0; role < FT_ROLE_LAYER_COUNT; role++) add_tensor(writer, role, layer);
    add_tensor(writer, FT_ROLE_FINAL_NORM, -1);
    add_tensor(writer, FT_ROLE_HEAD, -1);
    if (writer->model->extra == NULL) return FT_OK;
    model_tensor *extra = &writer->tensors[writer->n_tensors++];
    *extra = (model_tensor){.dtype = FT_DTYPE_F32, .rank = 1, .shape = {4, 1}, .elements = 4};
    snprintf(extra->name, sizeof extra->name, "%s", writer->model->extra);
    return FT_OK;
}

void ft_test_model_values(const ft_test_model *model, const char *tensor, int64_t begin, int64_t n, float *values)
{
    ft_hash128 hash = ft_hash128_of(tensor, strlen(tensor));
    bool norm = strstr(tensor, "norm.weight") != NULL;
    for (int64_t i = 0; i < n; i += 4) {
        float normal[4];
        uint32_t low = (uint32_t)hash.low, high = (uint32_t)(hash.low >> 32);
        ft_rng_block block = ft_rng(model->seed, FT_RNG_DATA, low, high, (uint32_t)((begin + i) / 4), 0);
        ft_rng_normal(block.word[0], block.word[1], normal);
        ft_rng_normal(block.word[2], block.word[3], normal + 2);
        for (int64_t j = 0; j < 4 && i + j < n; j++) values[i + j] = norm ? 1.0f + 0.1f * normal[j] : 0.05f * normal[j];
    }
    int64_t at = model->spoil_index - begin;
    if (named(model->spoil, tensor) && at >= 0 && at < n) values[at] = model->spoil_value;
}

static ft_status write_tensor(ft_safetensors_writer *file, const ft_test_model *model, const model_tensor *tensor)
{
    static _Thread_local float values[CHUNK];
    static _Thread_local char rounded[CHUNK * sizeof(float)];
    for (int64_t at = 0; at < tensor->elements; at += CHUNK) {
        int64_t n = tensor->elements - at < CHUNK ? tensor->elements - at : CHUNK;
        ft_test_model_values(model, tensor->name, at, n, values);
        FT_TRY(ft_convert_from_f32(rounded, values, tensor->dtype, (size_t)n));
        FT_TRY(ft_safetensors_write(file, rounded, n * (int64_t)ft_dtype_bytes(tensor->dtype)));
    }
    return FT_OK;
}

static ft_status write_tensors(const model_writer *writer, ft_safetensors_writer *file, int first, int end)
{
    for (int i = first; i < end; i++) {
        const model_tensor *tensor = &writer->tensors[i];
        FT_TRY(ft_safetensors_declare(file, tensor->name, tensor->dtype, tensor->rank, tensor->shape));
    }
    FT_TRY(ft_safetensors_begin(file));
    for (int i = first; i < end; i++) FT_TRY(write_tensor(file, writer->model, &writer->tensors[i]));
    return ft_safetensors_finish(file, false);
}

// Header length (8 bytes, little-endian), header, spaces, data.
static ft_status widen_header(const char *path, int spaces)
{
    char *data, *wide;
    size_t bytes, at = 8;
    FT_TRY(ft_file_read(path, (size_t)1 << 30, &data, &bytes));
    FT_ALLOC_CHECK(wide = ft_malloc(bytes + (size_t)spaces));
    for (int i = 0; i < 8; i++) at += (size_t)(unsigned char)data[i] << 8 * i;
    memcpy(wide, data, at);
    memset(wide + at, ' ', (size_t)spaces);
    memcpy(wide + at + (size_t)spaces, data + at, bytes - at);
    size_t header = at - 8 + (size_t)spaces;
    for (int i = 0; i < 8; i++) wide[i] = (char)(header >> 8 * i);
    ft_status status = ft_file_write(path, wide, bytes + (size_t)spaces);
    ft_free(wide);
    ft_free(data);
    return status;
}

static ft_status write_file(const model_writer *writer, const char *name, int first, int end)
{
    ft_safetensors_writer *file;
    char *path = ft_path_join(writer->directory, name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_safetensors_create(&file, path);
    if (status == FT_OK) {
        status = write_tensors(writer, file, first, end);
        ft_safetensors_discard(file);
    }
    if (status == FT_OK && writer->model->header_spaces > 0) status = widen_header(path, writer->model->header_spaces);
    ft_free(path);
    return status;
}

static void shard_name(char name[64], int shard, int shards)
{
    snprintf(name, 64, "model-%05d-of-%05d.safetensors", shard + 1, shards);
}

static ft_status write_index(const model_writer *writer, int shards)
{
    ft_text text = {0};
    ft_status status = ft_text_printf(&text, "{\"metadata\": {}, \"weight_map\": {");
    for (int i = 0; i < writer->n_tensors && status == FT_OK; i++) {
        char name[64];
        int shard = 0;
        while (i >= writer->n_tensors * (shard + 1) / shards) shard++;
        shard_name(name, shard, shards);
        status = ft_text_printf(&text, "%s\"%s\": \"%s\"", i > 0 ? ", " : "", writer->tensors[i].name, name);
    }
    if (status == FT_OK) status = ft_text_printf(&text, "}}\n");
    if (status == FT_OK) status = write_text(writer->directory, "model.safetensors.index.json", &text);
    ft_text_free(&text);
    return status;
}

static ft_status write_files(const model_writer *writer)
{
    int shards = writer->model->shards, n = writer->n_tensors;
    if (shards <= 1) return write_file(writer, "model.safetensors", 0, n);
    for (int s = 0; s < shards; s++) {
        char name[64];
        shard_name(name, s, shards);
        FT_TRY(write_file(writer, name, n * s / shards, n * (s + 1) / shards));
    }
    return write_index(writer, shards);
}

ft_status ft_test_model_write(const ft_test_model *model, const char *directory)
{
    model_writer writer = {.model = model, .directory = directory};
    FT_TRY(write_config(&writer));
    ft_status status = list_tensors(&writer);
    if (status == FT_OK) status = write_files(&writer);
    ft_free(writer.tensors);
    return status;
}
