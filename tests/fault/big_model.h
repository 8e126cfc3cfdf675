// Large random models in seconds: the same block of random bf16 numbers again and again, from another place for every tensor.
#ifndef FT_TESTS_FAULT_BIG_MODEL_H
#define FT_TESTS_FAULT_BIG_MODEL_H

#include "arch/shape.h"
#include "fault/files.h"
#include "io/safetensors.h"

#define BIG_BLOCK (1 << 22)  // elements

typedef struct {
    int64_t hidden, ffn, layers, q_heads, kv_heads, head_dim, vocab;
} big_model;

typedef ft_status (*big_visit)(ft_safetensors_writer *file, const uint16_t *block, const char *name, int64_t rows, int64_t cols);

static inline ft_status big_declare(ft_safetensors_writer *file, const uint16_t *block, const char *name, int64_t rows, int64_t cols)
{
    int64_t shape[2] = {rows > 1 ? rows : cols, cols};
    return ft_safetensors_declare(file, name, FT_DTYPE_BF16, rows > 1 ? 2 : 1, shape);
}

// Norms are ones, which is 0x3f80 in bf16.
static inline ft_status big_write(ft_safetensors_writer *file, const uint16_t *block, const char *name, int64_t rows, int64_t cols)
{
    uint16_t ones[8192];
    for (int i = 0; i < 8192; i++) ones[i] = 0x3f80;
    if (rows == 1) return ft_safetensors_write(file, ones, cols * 2);
    int64_t from = (int64_t)(ft_hash64(name, strlen(name)) % (BIG_BLOCK / 2));
    for (int64_t left = rows * cols; left > 0; left -= BIG_BLOCK / 2)
        FT_TRY(ft_safetensors_write(file, block + from, (left < BIG_BLOCK / 2 ? left : BIG_BLOCK / 2) * 2));
    return FT_OK;
}

static inline ft_status big_tensors(const ft_shape *shape, ft_safetensors_writer *file, const uint16_t *block, big_visit visit)
{
    char name[FT_TENSOR_NAME];
    int64_t rows, cols;
    for (int64_t layer = 0; layer < shape->layers; layer++)
        for (int role = 0; role < FT_ROLE_COUNT; role++) {
            if ((role >= FT_ROLE_LAYER_COUNT && layer > 0) || !ft_shape_tensor_name(shape, (ft_role)role, layer, name)) continue;
            ft_shape_role(shape, (ft_role)role, &rows, &cols);
            FT_TRY(visit(file, block, name, rows, cols));
        }
    return FT_OK;
}

static inline ft_status big_write_weights(const ft_shape *shape, const char *path)
{
    ft_safetensors_writer *file;
    uint16_t *block = malloc(BIG_BLOCK * sizeof *block);
    // Both signs, magnitudes of 2^-7 to 2^-5.
    for (uint32_t i = 0; i < BIG_BLOCK; i++) block[i] = (uint16_t)(0x3c00 | (((i * 2654435761u) ^ (i >> 7) * 40503u) >> 11 & 0x80ff));
    FT_TRY(ft_safetensors_create(&file, path));
    ft_status status = big_tensors(shape, file, block, big_declare);
    if (status == FT_OK) status = ft_safetensors_begin(file);
    if (status == FT_OK) status = big_tensors(shape, file, block, big_write);
    if (status == FT_OK) status = ft_safetensors_finish(file, false);
    ft_safetensors_discard(file);
    free(block);
    return status;
}

static inline void big_model_write(const big_model *m, const char *directory)
{
    char config[1024];
    ft_shape shape;
    snprintf(config, sizeof config,
             "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_act\": \"silu\", \"hidden_size\": %lld,"
             "\"intermediate_size\": %lld, \"num_hidden_layers\": %lld, \"num_attention_heads\": %lld, \"num_key_value_heads\": %lld,"
             "\"head_dim\": %lld, \"vocab_size\": %lld, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\","
             "\"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, \"max_position_embeddings\": 512}\n",
             (long long)m->hidden, (long long)m->ffn, (long long)m->layers, (long long)m->q_heads, (long long)m->kv_heads, (long long)m->head_dim,
             (long long)m->vocab);
    done(ft_make_directories(directory));
    write_text(at("%s/config.json", directory), config);
    done(ft_shape_parse(&shape, config, "config.json"));
    done(big_write_weights(&shape, at("%s/model.safetensors", directory)));
}

#endif
