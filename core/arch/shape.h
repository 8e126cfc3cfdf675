// Model families: config.json -> ft_shape, tensor names -> roles. A family is one row of ft_families.
//
// All matrices are [out, in], row-major, as checkpoints store them.
#ifndef FT_ARCH_SHAPE_H
#define FT_ARCH_SHAPE_H

#include "common/codec.h"
#include "common/dtype.h"

// What a tensor is to the model. Per layer first, then global.
typedef enum {
    FT_ROLE_ATTN_NORM,  // input_layernorm.weight          [hidden]
    FT_ROLE_Q,          // self_attn.q_proj.weight         [q_heads * head_dim, hidden]
    FT_ROLE_K,          //                                 [kv_heads * head_dim, hidden]
    FT_ROLE_V,
    FT_ROLE_O,          //                                 [hidden, q_heads * head_dim]
    FT_ROLE_MLP_NORM,   // post_attention_layernorm.weight [hidden]
    FT_ROLE_GATE,       //                                 [ffn, hidden]
    FT_ROLE_UP,
    FT_ROLE_DOWN,       //                                 [hidden, ffn]
    FT_ROLE_Q_BIAS,
    FT_ROLE_K_BIAS,
    FT_ROLE_V_BIAS,
    FT_ROLE_Q_NORM,     // [head_dim]
    FT_ROLE_K_NORM,
    FT_ROLE_LAYER_COUNT,
    FT_ROLE_EMBED = FT_ROLE_LAYER_COUNT,  // [vocab, hidden]
    FT_ROLE_FINAL_NORM,                   // [hidden]
    FT_ROLE_HEAD,                         // [vocab, hidden]; absent when tied
    FT_ROLE_COUNT,
} ft_role;

// The four matrix groups of a layer, in the order a forward pass uses them, and the small tensors (norms, biases).
typedef enum { FT_GROUP_QKV, FT_GROUP_O, FT_GROUP_GATE_UP, FT_GROUP_DOWN, FT_GROUP_MATRICES, FT_GROUP_SMALL = 4, FT_GROUP_COUNT } ft_group;

// The seven linears LoRA can be attached to, in q k v o gate up down order; a set is a bit mask 1 << ft_linear.
typedef enum { FT_LINEAR_Q, FT_LINEAR_K, FT_LINEAR_V, FT_LINEAR_O, FT_LINEAR_GATE, FT_LINEAR_UP, FT_LINEAR_DOWN, FT_LINEAR_COUNT } ft_linear;
#define FT_LINEAR_ALL ((1u << FT_LINEAR_COUNT) - 1)

typedef enum { FT_ROPE_DEFAULT, FT_ROPE_LLAMA3 } ft_rope_kind;

typedef struct ft_family ft_family;

// What quantization_config says of the linears whose weights are F8_E4M3 (arch/quantization.h says which ones those are).
typedef struct {
    const char *method;      // "fp8", "fbgemm_fp8", "compressed-tensors"; NULL = there is no quantization_config
    ft_scale_kind kind;      // of all of them, NONE without quantization_config
} ft_quantization;

typedef struct {
    const ft_family *family;
    int64_t hidden, ffn, layers, q_heads, kv_heads, head_dim, vocab;
    int64_t max_positions;
    double norm_eps;
    ft_rope_kind rope;
    double rope_theta;
    double rope_factor, rope_low_freq, rope_high_freq;  // llama3: factor, low_freq_factor, high_freq_factor
    int64_t rope_original_positions;                    // llama3: original_max_position_embeddings
    int64_t window;      // sliding_window in use: a token sees itself and window - 1 before it; 0 = all. ft_shape_check_length
    bool tied;           // head = embedding
    bool qkv_bias;
    bool qk_norm;
    ft_dtype dtype;      // torch_dtype / dtype of the config, BF16 if absent
    ft_quantization quantization;
    int32_t bos_id, eos_id, pad_id;  // -1 if absent (an eos list gives its first)
} ft_shape;

// When a family's sliding_window counts.
typedef enum {
    FT_WINDOW_OPT_OUT,  // unless use_sliding_window is false
    FT_WINDOW_OPT_IN,   // only if use_sliding_window is true
    FT_WINDOW_ALWAYS,   // the family has no switch: transformers does not read one
} ft_window_switch;

struct ft_family {
    const char *architecture;   // "LlamaForCausalLM"
    const char *model_type;     // "llama"
    bool qkv_bias, qk_norm;     // fixed by the family
    const char *chat_template;  // default of our built-in templates
    // What transformers takes for a field that config.json lacks; 0 = what it takes for Llama.
    int64_t default_kv_heads, default_head_dim, default_window;
    ft_window_switch window_switch;
    const char *roles[FT_ROLE_COUNT];  // tensor name, %lld = layer; NULL = the family has none
};
extern const ft_family *const ft_families[];  // NULL-terminated

// Reads DIRECTORY/config.json in both dialects (rope_scaling / torch_dtype, and transformers 5's rope_parameters / dtype).
// A field that changes the maths and is not implemented (other rope types, sliding layers beside full ones, other activations,
// biases where the family has none, multipliers and soft caps, attention dropout, other quantization than FP8) is FT_E_UNSUPPORTED
// naming the field and its value, as is an unknown architecture; a missing, mistyped or inconsistent field is FT_E_INPUT naming it.
// Head_dim defaults to hidden / q_heads (Qwen3: 128).
ft_status ft_shape_read(ft_shape *shape, const char *directory);
// The same, and the file's text, heap.
ft_status ft_shape_read_text(ft_shape *shape, const char *directory, char **text);
ft_status ft_shape_parse(ft_shape *shape, const char *json_text, const char *path_for_messages);

// Name of a tensor into `name` (layer ignored for global roles). false if the model has none.
#define FT_TENSOR_NAME 128
bool ft_shape_tensor_name(const ft_shape *shape, ft_role role, int64_t layer, char name[FT_TENSOR_NAME]);
// Rows and columns of a role (vectors: 1 x n).
void ft_shape_role(const ft_shape *shape, ft_role role, int64_t *rows, int64_t *cols);
int64_t ft_shape_parameters(const ft_shape *shape);        // all, tied counted once
int64_t ft_shape_layer_parameters(const ft_shape *shape);  // matrices of one layer
int64_t ft_shape_head_parameters(const ft_shape *shape);

// Linears.
ft_role ft_linear_role(ft_linear linear);
ft_group ft_linear_group_of(ft_linear linear);
const char *ft_linear_name(ft_linear linear);              // "q_proj"
const char *ft_linear_module(ft_linear linear);            // "self_attn.q_proj"
bool ft_linear_from_name(const char *name, ft_linear *linear);
void ft_shape_linear(const ft_shape *shape, ft_linear linear, int64_t *out, int64_t *in);
// Linears of a group: first one and how many (qkv: 3, o: 1, gate+up: 2, down: 1).
void ft_group_linears(ft_group group, ft_linear *first, int *count);
const char *ft_group_name(ft_group group);
int64_t ft_lora_parameters(const ft_shape *shape, int64_t r, unsigned targets);  // whole model

// Attention is implemented over whole documents, which a sliding window of at least their length does not change.
// FT_E_UNSUPPORTED naming both numbers if sequences of this length would reach past the window.
ft_status ft_shape_check_length(const ft_shape *shape, int64_t sequence_len);

// A k_proj or v_proj tensor that holds another number of whole heads than num_key_value_heads: FT_E_INPUT naming both, what such
// files are and what to do. FT_OK for any other role, and for rows that are no whole heads (a plain wrong size).
ft_status ft_shape_check_kv_heads(const ft_shape *shape, ft_role role, int64_t rows, const char *file, const char *tensor);

// Built-in geometries by name ("llama3-8b", "llama3-70b", "llama3-405b": Llama 3.1; geometry.c has the others); FT_E_NOT_FOUND
// lists them.
ft_status ft_shape_geometry(ft_shape *shape, const char *name);
// The geometry of a model by its name on a hub: "meta-llama/Meta-Llama-3.1-405B-Instruct-FP8", a hub cache's directory
// ("models--meta-llama--Llama-3.1-8B", anywhere in a path) or the bare name; any organisation, any case, suffixes that leave the
// sizes alone. NULL if unknown, which a fine-tune under a name of its own is. Llama 3 maps to 3.1, whose sizes it shares.
const char *ft_geometry_for_repository(const char *name);

#endif
