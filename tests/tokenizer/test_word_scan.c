// The hand-written matchers find the words PCRE2 finds for the same expression.
#include "data/t_data.h"

#include "tokenizer/pretokenize.h"
#include "tokenizer/unicode.h"
#include "common/utf8.h"

static const char *const patterns[] = {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+",
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "\\p{N}",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?"
    "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+",
};
#define N_PATTERNS ((int)(sizeof patterns / sizeof *patterns))

static ft_pretokenizer scanned[N_PATTERNS], compiled[N_PATTERNS];
static ft_pretokenize_work work;

static int compile_all(void **state)
{
    for (int i = 0; i < N_PATTERNS; i++) {
        if (ft_pretokenizer_add(&scanned[i], patterns[i]) != FT_OK) return 1;
        if (ft_pretokenizer_add_compiled(&compiled[i], patterns[i]) != FT_OK) return 1;
    }
    return ft_pretokenize_work_init(&work) != FT_OK;
}

static int free_all(void **state)
{
    for (int i = 0; i < N_PATTERNS; i++) {
        ft_pretokenizer_free(&scanned[i]);
        ft_pretokenizer_free(&compiled[i]);
    }
    ft_pretokenize_work_free(&work);
    return 0;
}

typedef struct {
    size_t ends[4096];
    int n;
    const char *text;
} words;

static ft_status note_word(void *context, const char *word, size_t bytes)
{
    words *w = context;
    assert_true(w->n < 4096);
    w->ends[w->n++] = (size_t)(word - w->text) + bytes;
    return FT_OK;
}

static void assert_same_words(const char *text, size_t bytes)
{
    for (int i = 0; i < N_PATTERNS; i++) {
        static words a, b;
        a.n = b.n = 0;
        a.text = b.text = text;
        t_ok(ft_pretokenize(&scanned[i], &work, text, bytes, note_word, &a));
        t_ok(ft_pretokenize(&compiled[i], &work, text, bytes, note_word, &b));
        if (a.n != b.n || memcmp(a.ends, b.ends, (size_t)a.n * sizeof *a.ends) != 0)
            fail_msg("pattern %d splits '%.*s' differently", i, (int)bytes, text);
    }
}

static void known_expressions_have_a_matcher(void **state)
{
    for (int i = 0; i < N_PATTERNS; i++) {
        assert_non_null(scanned[i].stages[0].scan);
        assert_non_null(compiled[i].stages[0].code);
    }
    assert_null(ft_word_scan_for("\\p{N}+"));
}

// Characters that the expressions treat each in its own way.
static void mixtures_split_alike(void **state)
{
    static const char *const parts[] = {" ", "  ", "\n", "\r", "\t", "'", "'s", "'RE", "'\u017F", "'l", "a", "B", "bc", "\u01C5",
                                        "\u02B0", "\u4E00", "\u0301", "\u0903", "1", "\u00BD", "\u0663", "!", "/", "-", "\u3000",
                                        "\u00A0", "\U0001F600", "\U00010D50", "\u2028", "", "\u200D"};
    uint64_t seed = 9;
    for (int round = 0; round < 30000; round++) {
        char text[128];
        size_t n = 0;
        for (uint32_t left = 1 + t_random(&seed) % 12; left > 0; left--) {
            const char *part = parts[t_random(&seed) % (sizeof parts / sizeof *parts)];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        assert_same_words(text, n);
    }
}

// Every code point between letters of either case, digits and spaces.
static void every_character_splits_alike(void **state)
{
    for (uint32_t code_point = 0; code_point < FT_CODE_POINTS; code_point += code_point < 0x30000 ? 1 : 61) {
        if (code_point >= 0xD800 && code_point < 0xE000) continue;
        char text[32] = "a";
        size_t n = 1;
        n += ft_utf8_encode(code_point, text + n);
        memcpy(text + n, "B 1", 3);
        n += 3;
        n += ft_utf8_encode(code_point, text + n);
        text[n++] = ' ';
        n += ft_utf8_encode(code_point, text + n);
        assert_same_words(text, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_expressions_have_a_matcher),
        cmocka_unit_test(mixtures_split_alike),
        cmocka_unit_test(every_character_splits_alike),
    };
    return cmocka_run_group_tests(tests, compile_all, free_all);
}
