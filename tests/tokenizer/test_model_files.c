// A directory with a tokenizer.model and no tokenizer.json: tiktoken's format and SentencePiece models.
#include "data/t_data.h"

#include "tokenizer/tokenizer_impl.h"

#define TIKTOKEN_LINES 128000

static void add_base64(ft_text *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) | (i + 2 < n ? bytes[i + 2] : 0);
        char four[4];
        for (int k = 0; k < 4; k++) four[k] = digits[bits >> (18 - 6 * k) & 63];
        if (i + 1 >= n) four[2] = '=';
        if (i + 2 >= n) four[3] = '=';
        t_ok(ft_text_add(out, four, 4));
    }
}

// 256 bytes, 65536 pairs of bytes (rank 256 + 256 * first + second), then triples that start with 'a' or any later byte.
static char *write_tiktoken(int lines)
{
    ft_text text = {0};
    for (int rank = 0; rank < lines; rank++) {
        int pair = rank - 256, triple = pair - 65536;
        uint8_t bytes[3] = {(uint8_t)rank};
        if (pair >= 0) bytes[0] = (uint8_t)(pair >> 8), bytes[1] = (uint8_t)pair;
        if (triple >= 0) bytes[0] = 'a', bytes[1] = (uint8_t)(triple >> 8), bytes[2] = (uint8_t)triple;
        add_base64(&text, bytes, triple >= 0 ? 3 : pair >= 0 ? 2 : 1);
        t_ok(ft_text_printf(&text, " %d\n", rank));
    }
    t_ok(ft_make_directories(t_path("tiktoken")));
    char *path = t_path("tiktoken/tokenizer.model");
    t_ok(ft_file_write(path, text.data, text.length));
    ft_text_free(&text);
    return t_path("tiktoken");
}

static int32_t pair_rank(char a, char b)
{
    return 256 + 256 * (uint8_t)a + (uint8_t)b;
}

static void tiktoken_files_become_llama3(void **state)
{
    ft_tokenizer *tokenizer;
    t_ok(ft_tokenizer_open(&tokenizer, write_tiktoken(TIKTOKEN_LINES)));
    assert_int_equal(ft_tokenizer_vocab(tokenizer), TIKTOKEN_LINES + 256);
    assert_int_equal(ft_tokenizer_bos(tokenizer), TIKTOKEN_LINES);
    assert_int_equal(ft_tokenizer_eos(tokenizer), TIKTOKEN_LINES + 1);
    assert_true(ft_tokenizer_adds_bos(tokenizer));
    assert_int_equal(ft_tokenizer_id(tokenizer, "<|finetune_right_pad_id|>"), 128004);
    assert_int_equal(ft_tokenizer_id(tokenizer, "<|reserved_special_token_2|>"), 128005);
    assert_int_equal(ft_tokenizer_id(tokenizer, "<|eot_id|>"), 128009);
    assert_int_equal(ft_tokenizer_id(tokenizer, "<|reserved_special_token_3|>"), 128011);
    assert_int_equal(ft_tokenizer_id(tokenizer, "<|reserved_special_token_247|>"), 128255);

    // "bcde": the pair of lowest rank first, "bc", then "de"; "abc" is a token; digits come in threes.
    ft_ids ids = t_ids(tokenizer, "bcde abc<|eot_id|>", FT_TOKENIZE_SPECIAL | FT_TOKENIZE_BOS);
    const int32_t expected[] = {128000, pair_rank('b', 'c'), pair_rank('d', 'e'), pair_rank(' ', 'a'), pair_rank('b', 'c'), 128009};
    assert_int_equal(ids.n, 6);
    assert_memory_equal(ids.items, expected, sizeof expected);
    ft_ids_free(&ids);
    ids = t_ids(tokenizer, "abc", 0);
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.items[0], 256 + 65536 + 256 * 'b' + 'c');
    ft_ids_free(&ids);
    ft_tokenizer_free(tokenizer);
}

static void other_tiktoken_files_are_refused(void **state)
{
    ft_tokenizer *tokenizer;
    t_fails(ft_tokenizer_open(&tokenizer, write_tiktoken(1000)), FT_E_UNSUPPORTED, "1000 tokens");
    assert_non_null(strstr(ft_error_message(), "save a tokenizer.json"));
}

static void add_varint(ft_text *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) t_ok(ft_text_add(out, &(char){(char)(value | 0x80)}, 1));
    t_ok(ft_text_add(out, &(char){(char)value}, 1));
}

static void add_message(ft_text *out, int number, const ft_text *content)
{
    add_varint(out, (uint64_t)number << 3 | 2);
    add_varint(out, content->length);
    t_ok(ft_text_add(out, content->data, content->length));
}

static void add_number(ft_text *out, int number, uint64_t value)
{
    add_varint(out, (uint64_t)number << 3);
    add_varint(out, value);
}

static void add_piece(ft_text *out, const char *text, float score, int type)
{
    ft_text piece = {0}, name = {0};
    t_ok(ft_text_printf(&name, "%s", text));
    add_message(&piece, 1, &name);
    add_varint(&piece, 2 << 3 | 5);
    t_ok(ft_text_add(&piece, (const char *)&score, 4));
    if (type != 1) add_number(&piece, 3, (uint64_t)type);
    add_message(out, 1, &piece);
    ft_text_free(&piece);
    ft_text_free(&name);
}

// <unk> <s> </s>, 256 bytes, one user-defined, then pieces whose scores fall.
static char *write_spm(int model_type)
{
    static const char *const pieces[] = {"▁t", "he", "▁the", "▁", "t", "h", "e", "ab", "abc", "a", "b", "c"};
    ft_text model = {0}, trainer = {0};
    add_piece(&model, "<unk>", 0, 2);
    add_piece(&model, "<s>", 0, 3);
    add_piece(&model, "</s>", 0, 3);
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        add_piece(&model, name, 0, 6);
    }
    add_piece(&model, "[USER]", 0, 4);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) add_piece(&model, pieces[i], -(float)i, 1);
    add_number(&trainer, 3, (uint64_t)model_type);
    add_number(&trainer, 35, 1);
    add_message(&model, 2, &trainer);
    t_ok(ft_make_directories(t_path("spm")));
    t_ok(ft_file_write(t_path("spm/tokenizer.model"), model.data, model.length));
    ft_text_free(&model);
    ft_text_free(&trainer);
    return t_path("spm");
}

static void assert_tokens(const ft_tokenizer *tokenizer, const char *text, const char *expected)
{
    ft_ids ids = t_ids(tokenizer, text, FT_TOKENIZE_SPECIAL);
    ft_text got = {0};
    for (int64_t i = 0; i < ids.n; i++) {
        size_t n;
        const char *token = ft_vocab_bytes(&tokenizer->vocab, ids.items[i], &n);
        t_ok(ft_text_printf(&got, "%s%.*s", i ? "|" : "", (int)n, token));
    }
    assert_string_equal(got.data, expected);
    ft_text_free(&got);
    ft_ids_free(&ids);
}

static void sentencepiece_models_become_what_transformers_makes_of_them(void **state)
{
    ft_tokenizer *tokenizer;
    char *text;
    size_t bytes;
    t_ok(ft_tokenizer_open(&tokenizer, write_spm(2)));
    assert_int_equal(ft_tokenizer_bos(tokenizer), 1);
    assert_int_equal(ft_tokenizer_eos(tokenizer), 2);
    assert_true(ft_tokenizer_adds_bos(tokenizer));
    assert_tokens(tokenizer, "the abc", "▁the|▁|abc");
    assert_tokens(tokenizer, "a\né", "▁|a|<0x0A>|<0xC3>|<0xA9>");
    assert_tokens(tokenizer, "the</s>the[USER]the", "▁the|</s>|▁the|[USER]|▁the");
    ft_ids ids = t_ids(tokenizer, "the é", 0);
    t_ok(ft_detokenize(tokenizer, ids.items, ids.n, true, &text, &bytes));
    assert_string_equal(text, "the é");
    ft_free(text);
    ft_ids_free(&ids);
    ft_tokenizer_free(tokenizer);

    t_write("spm/tokenizer_config.json", "{\"legacy\": false}");
    t_ok(ft_tokenizer_open(&tokenizer, t_path("spm")));
    assert_tokens(tokenizer, "the</s>the", "▁the|</s>|t|he");
    ft_tokenizer_free(tokenizer);
}

static void other_sentencepiece_models_are_refused(void **state)
{
    ft_tokenizer *tokenizer;
    t_fails(ft_tokenizer_open(&tokenizer, write_spm(1)), FT_E_UNSUPPORTED, "Unigram");
    assert_non_null(strstr(ft_error_message(), "save a tokenizer.json"));
    t_write("spm/tokenizer.model", "no such thing");
    t_fails(ft_tokenizer_open(&tokenizer, t_path("spm")), FT_E_INPUT, "neither a tokenizer.json");
}

// What a reader of untrusted files must stand: every prefix of a file, and flipped bytes.
static void cut_and_damaged_files_never_crash(void **state)
{
    static const char *const files[] = {"spm/tokenizer.model", GOLDEN "spm/tokenizer.json", GOLDEN "qwen/tokenizer.json"};
    write_spm(2);
    uint64_t seed = 5;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        char *bytes;
        size_t n;
        t_ok(ft_file_read(f == 0 ? t_path(files[f]) : files[f], 1 << 24, &bytes, &n));
        for (int round = 0; round < 300; round++) {
            ft_tokenizer *tokenizer = NULL;
            size_t length = round % 3 == 0 ? t_random(&seed) % n : n;
            size_t at = t_random(&seed) % n;
            char kept = bytes[at];
            if (round % 3) bytes[at] = round % 3 == 1 ? (char)t_random(&seed) : "0{}[]\",9"[t_random(&seed) % 8];
            ft_status status = ft_tokenizer_from_bytes(&tokenizer, bytes, length);
            assert_true(status == FT_OK || status == FT_E_INPUT || status == FT_E_UNSUPPORTED);
            if (status == FT_OK) {
                ft_ids ids = t_ids(tokenizer, "the layer \u00e9 <s> 12", FT_TOKENIZE_SPECIAL);
                ft_ids_free(&ids);
            }
            ft_tokenizer_free(tokenizer);
            bytes[at] = kept;
        }
        ft_free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiktoken_files_become_llama3),
        cmocka_unit_test(other_tiktoken_files_are_refused),
        cmocka_unit_test(sentencepiece_models_become_what_transformers_makes_of_them),
        cmocka_unit_test(other_sentencepiece_models_are_refused),
        cmocka_unit_test(cut_and_damaged_files_never_crash),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
