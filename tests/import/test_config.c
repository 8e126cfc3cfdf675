// config.json says what the metadata says, and what cannot be said in it or computed here is refused by name.
#include "import_support.h"

#include "arch/shape.h"

static void shape_of(const char *name, ft_shape *shape)
{
    import_golden(name, FT_DTYPE_BF16);
    assert_ok(ft_shape_read(shape, here.model));
    assert_true(shape->hidden == 64 && shape->ffn == 96 && shape->layers == 2 && shape->q_heads == 4 && shape->kv_heads == 2);
    assert_true(shape->head_dim == 16 && shape->max_positions == 16384 && shape->norm_eps == 1e-5 && shape->dtype == FT_DTYPE_BF16);
    assert_ok(ft_remove_tree(here.model));
}

static void sizes_rope_and_tying_are_kept(void **state)
{
    ft_shape s;
    shape_of("llama", &s);
    assert_true(s.tied && s.vocab == 294 && s.rope_theta == 500000 && s.rope == FT_ROPE_LLAMA3);
    assert_true(s.rope_factor == 32 && s.rope_low_freq == 1 && s.rope_high_freq == 4 && s.rope_original_positions == 8192);
    assert_true(s.bos_id == 290 && s.eos_id == 291 && s.pad_id == 292);
    shape_of("smollm", &s);
    assert_true(!s.tied && s.rope == FT_ROPE_DEFAULT);
    shape_of("qwen2", &s);
    assert_true(!s.tied && s.qkv_bias && !s.qk_norm && s.vocab == 320 && s.rope_theta == 1000000);
    shape_of("qwen3", &s);
    assert_true(s.tied && !s.qkv_bias && s.qk_norm);
}

static void refused(ft_status expected, const char *part)
{
    assert_int_equal(import_file(here.gguf, FT_DTYPE_BF16), expected);
    assert_message_has(ft_error_message(), here.gguf);
    assert_message_has(ft_error_message(), part);
    assert_null(strchr(ft_error_message(), '\n'));
    assert_int_equal(left_behind(), 0);
}

// A copy of a golden file in which `n` bytes, `skip` bytes after the first `find`, are others.
static void change(const char *name, const char *find, size_t skip, const void *bytes, size_t n)
{
    char *data;
    size_t size;
    load_golden(name, &data, &size);
    memcpy(find_bytes(data, size, find, strlen(find)) + skip, bytes, n);
    assert_ok(ft_file_write(here.gguf, data, size));
    ft_free(data);
}

static void other_models_and_tokenizers_are_refused_by_name(void **state)
{
    change("llama", "general.architecture", 32, "mamba", 5), refused(FT_E_UNSUPPORTED, "general.architecture 'mamba' is not supported; supported are: llama, qwen2, qwen3");
    change("llama", "llama-bpe", 0, "viking-x", 8), refused(FT_E_UNSUPPORTED, "tokenizer.ggml.pre 'viking-xe' is not supported");
    change("smollm", "tokenizer.ggml.model", 32, "bert", 4), refused(FT_E_UNSUPPORTED, "tokenizer.ggml.model 'bert' is not supported");
    change("llama", "llama.rope.freq_base", 6, "residual_scale", 14), refused(FT_E_UNSUPPORTED, "llama.residual_scale is not supported");
    change("llama", "llama.block_count", 6, "blocx_count", 11), refused(FT_E_INPUT, "llama.block_count is missing");
}

static void other_tensors_are_refused_by_name(void **state)
{
    // The encoding stands after the rank and two extents; IQ4_NL has Q4_0's size.
    change("llama", "blk.0.attn_q.weight", 19 + 20, "\x14\0\0\0", 4), refused(FT_E_UNSUPPORTED, "tensor blk.0.attn_q.weight is IQ4_NL; F32,");
    change("llama", "output_norm.weight", 0, "x", 1), refused(FT_E_INPUT, "tensor output_norm.weight is missing");
    change("llama", "rope_freqs.weight", 0, "x", 1), refused(FT_E_UNSUPPORTED, "tensor xope_freqs.weight has no place in a llama model");
    change("smollm", "llama.embedding_length", 22 + 4, "\x60", 1), refused(FT_E_INPUT, "tensor token_embd.weight has rank 2");
}

static void rope_factors_of_another_scaling_are_refused(void **state)
{
    char *data;
    size_t size;
    ft_gguf file;
    load_golden("llama", &data, &size);
    assert_ok(ft_gguf_parse(&file, "golden", data, size));
    memcpy(data + ft_gguf_find_tensor(&file, "rope_freqs.weight")->offset + 4 * 5, &(float){31}, 4);
    ft_gguf_close(&file);
    assert_ok(ft_file_write(here.gguf, data, size));
    refused(FT_E_UNSUPPORTED, "tensor rope_freqs.weight: these factors are not those of Llama 3's");
    ft_free(data);
}

static void tokens_and_merges_that_contradict_themselves_are_refused(void **state)
{
    change("llama", "<|pad|>", 0, "<|end|>", 7), refused(FT_E_INPUT, "tokenizer.ggml.tokens: 291 and 292 are the same text");
    change("llama", "t h", 0, "tzh", 3), refused(FT_E_INPUT, "tokenizer.ggml.merges: 1 does not join two tokens");
    change("llama", "<|pad|>", 0, "\xff", 1), refused(FT_E_INPUT, "tokenizer.ggml.tokens: 292 is not UTF-8");
    change("llama", "tokenizer.ggml.bos_token_id", 27 + 4, "\xff\xff", 2), refused(FT_E_INPUT, "tokenizer.ggml.bos_token_id must be a token");
}

// Only metadata: enough to get to the model's keys.
static void with_key(const char *key, uint32_t value)
{
    ft_text file = {0};
    put_header(&file, 3, 0, 6);
    put_value_text(&file, "general.architecture", "llama");
    put_value_text(&file, "tokenizer.ggml.model", "gpt2");
    put_value_text(&file, "tokenizer.ggml.pre", "gpt-2");
    put_key(&file, "tokenizer.ggml.tokens", FT_GGUF_ARRAY), put_u32(&file, FT_GGUF_TEXT), put_u64(&file, 1), put_text(&file, "a");
    put_key(&file, "tokenizer.ggml.merges", FT_GGUF_ARRAY), put_u32(&file, FT_GGUF_TEXT), put_u64(&file, 0);
    put_value_u32(&file, key, value);
    assert_ok(ft_file_write(here.gguf, file.data, file.length));
    ft_text_free(&file);
}

static void what_changes_the_computation_is_refused_by_key(void **state)
{
    with_key("llama.expert_count", 8), refused(FT_E_UNSUPPORTED, "llama.expert_count is not supported: mixture-of-experts");
    with_key("llama.attention.sliding_window", 4096), refused(FT_E_UNSUPPORTED, "llama.attention.sliding_window is not supported");
    with_key("llama.expert_count", 0), refused(FT_E_INPUT, "llama.embedding_length is missing");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sizes_rope_and_tying_are_kept),
        TEST(other_models_and_tokenizers_are_refused_by_name),
        TEST(other_tensors_are_refused_by_name),
        TEST(rope_factors_of_another_scaling_are_refused),
        TEST(tokens_and_merges_that_contradict_themselves_are_refused),
        TEST(what_changes_the_computation_is_refused_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
