// Metadata to config.json, which core/arch then reads and checks like any other.
#include <stdlib.h>

#include "common/memory.h"
#include "import/import_internal.h"

typedef struct {
    int64_t hidden, ffn, layers, q_heads, kv_heads, head_dim, vocab, positions;
    double norm_eps, theta;
    import_rope rope;
    bool scaled, tied;
} sizes;

static ft_status read_head_dim(const ft_metadata *data, sizes *s)
{
    int64_t rotated, value;
    FT_TRY(ft_metadata_count_or(data, "attention.key_length", s->hidden / s->q_heads, &s->head_dim));
    FT_TRY(ft_metadata_count_or(data, "rope.dimension_count", s->head_dim, &rotated));
    FT_TRY(ft_metadata_count_or(data, "attention.value_length", s->head_dim, &value));
    if (rotated == s->head_dim && value == s->head_dim) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: %s: keys of %lld, values of %lld and %lld rotated dimensions are not supported, only all alike",
                    data->file->path, data->prefix, (long long)s->head_dim, (long long)value, (long long)rotated);
}

static ft_status read_vocab(const import *im, int64_t *vocab)
{
    const ft_gguf_tensor *embedding = ft_gguf_series_find(&im->series, "token_embd.weight");
    if (embedding == NULL || embedding->rank != 2 || embedding->shape[1] > INT32_MAX)
        return ft_error(FT_E_INPUT, "%s: tensor token_embd.weight is missing or not a matrix", im->file->path);
    *vocab = embedding->shape[1];
    return FT_OK;
}

static ft_status read_sizes(const import *im, const ft_metadata *data, sizes *s)
{
    FT_TRY(ft_metadata_count(data, "embedding_length", &s->hidden));
    FT_TRY(ft_metadata_count(data, "feed_forward_length", &s->ffn));
    FT_TRY(ft_metadata_count(data, "block_count", &s->layers));
    FT_TRY(ft_metadata_count(data, "context_length", &s->positions));
    FT_TRY(ft_metadata_count(data, "attention.head_count", &s->q_heads));
    FT_TRY(ft_metadata_count_or(data, "attention.head_count_kv", s->q_heads, &s->kv_heads));
    FT_TRY(ft_metadata_real(data, "attention.layer_norm_rms_epsilon", &s->norm_eps));
    FT_TRY(ft_metadata_real_or(data, "rope.freq_base", 10000, &s->theta));
    FT_TRY(read_head_dim(data, s));
    FT_TRY(read_vocab(im, &s->vocab));
    FT_TRY(ft_import_rope(&im->series, s->theta, s->head_dim, &s->rope, &s->scaled));
    s->tied = ft_gguf_series_find(&im->series, "output.weight") == NULL;
    return FT_OK;
}

static ft_status refuse_scaling(const ft_metadata *data)
{
    ft_gguf_text type;
    double linear;
    FT_TRY(ft_metadata_text(data, "rope.scaling.type", &type));
    FT_TRY(ft_metadata_real_or(data, "rope.scale_linear", 1, &linear));
    if (type.data != NULL && !ft_gguf_text_is(type, "none"))
        return ft_error(FT_E_UNSUPPORTED, "%s: %s.rope.scaling.type '%.*s' is not supported", data->file->path, data->prefix,
                        FT_GGUF_SHOWN(type));
    if (linear == 1) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: %s.rope.scale_linear %g is not supported", data->file->path, data->prefix, linear);
}

// Keys that change what the model computes, unless they are 0.
static ft_status refuse_keys(const ft_metadata *data)
{
    static const char *const refused[] = {
        "expert_count", "attention.sliding_window", "attention.clamp_kqv", "attention.max_alibi_bias", "attention.scale",
        "attention.logit_softcapping", "attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "residual_scale",
        "embedding_scale", "pooling_type",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const ft_gguf_value *value = ft_metadata_find(data, refused[i]);
        bool idle = value == NULL || (!value->is_array && value->type != FT_GGUF_TEXT && ft_gguf_real(value, 0) == 0);
        if (!idle)
            return ft_error(FT_E_UNSUPPORTED, "%s: %s.%s is not supported%s", data->file->path, data->prefix, refused[i],
                            i == 0 ? ": mixture-of-experts models are out of scope" : "");
    }
    bool causal;
    FT_TRY(ft_metadata_bool_or(data, "attention.causal", true, &causal));
    if (!causal) return ft_error(FT_E_UNSUPPORTED, "%s: %s.attention.causal false is not supported", data->file->path, data->prefix);
    return refuse_scaling(data);
}

static json_t *scaling_json(const sizes *s)
{
    if (!s->scaled) return json_null();
    return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", s->rope.factor, "low_freq_factor", s->rope.low,
                     "high_freq_factor", s->rope.high, "original_max_position_embeddings", (json_int_t)s->rope.original_positions);
}

static json_t *token_json(int32_t id)
{
    return id >= 0 ? json_integer(id) : json_null();
}

static json_t *config_json(const import *im, const sizes *s)
{
    return json_pack("{s:[s], s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:b, s:o, s:o, s:o, s:b, s:f, s:s}",
                     "architectures", im->family->architecture, "model_type", im->family->model_type, "hidden_act", "silu",
                     "hidden_size", (json_int_t)s->hidden, "intermediate_size", (json_int_t)s->ffn,
                     "num_hidden_layers", (json_int_t)s->layers, "num_attention_heads", (json_int_t)s->q_heads,
                     "num_key_value_heads", (json_int_t)s->kv_heads, "head_dim", (json_int_t)s->head_dim,
                     "vocab_size", (json_int_t)s->vocab, "max_position_embeddings", (json_int_t)s->positions,
                     "rms_norm_eps", s->norm_eps, "rope_theta", s->theta, "rope_scaling", scaling_json(s), "tie_word_embeddings", s->tied,
                     "bos_token_id", token_json(im->vocab.bos), "eos_token_id", token_json(im->vocab.eos),
                     "pad_token_id", token_json(im->vocab.pad), "use_cache", true, "attention_dropout", 0.0,
                     "torch_dtype", ft_dtype_torch_name(im->options->dtype));
}

ft_status ft_import_make_config(import *im)
{
    ft_metadata data = {im->file, im->family->model_type};
    sizes s;
    FT_TRY(refuse_keys(&data));
    FT_TRY(read_sizes(im, &data, &s));
    json_t *root = config_json(im, &s);
    // Nine digits give every float32 and the decimals that stand for one.
    im->config = root != NULL ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(root);
    if (im->config == NULL) return ft_error(FT_E_NOMEM, "out of memory: config.json");
    return ft_shape_parse(&im->shape, im->config, "config.json of the import");
}
