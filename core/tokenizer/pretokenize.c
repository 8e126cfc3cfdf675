#include "tokenizer/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/text.h"
#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

#define JIT_STACK_BYTES (1 << 20)  // backtracking room for expressions that need more than the machine stack's 32 KiB

static ft_status compile(const char *pattern, const char *translated, size_t bytes, pcre2_code **code)
{
    int error;
    PCRE2_SIZE offset;
    *code = pcre2_compile((PCRE2_SPTR)translated, bytes, PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
    if (*code == NULL) {
        char reason[256] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, sizeof reason);
        return ft_error(FT_E_UNSUPPORTED, "the regular expression '%.120s': %s", pattern, reason);
    }
    pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE);  // where there is no JIT, pcre2_match interprets
    return FT_OK;
}

static ft_status refuse_empty_matches(const pcre2_code *code, const char *pattern)
{
    uint32_t empty = 0;
    pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty) return ft_error(FT_E_UNSUPPORTED, "the regular expression '%.120s' may match nothing", pattern);
    return FT_OK;
}

static ft_status add_stage(ft_pretokenizer *pretokenizer, ft_pretokenize_stage stage)
{
    if (pretokenizer->n == FT_PRETOKENIZE_STAGES) {
        pcre2_code_free(stage.code);
        return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer has more than %d stages", FT_PRETOKENIZE_STAGES);
    }
    pretokenizer->stages[pretokenizer->n++] = stage;
    return FT_OK;
}

ft_status ft_pretokenizer_add_compiled(ft_pretokenizer *pretokenizer, const char *pattern)
{
    ft_text translated = {0};
    pcre2_code *code = NULL;
    ft_status status = FT_OK;
    FT_TRY_GOTO(status, out, ft_pattern_translate(pattern, &translated));
    FT_TRY_GOTO(status, out, compile(pattern, translated.data, translated.length, &code));
    FT_TRY_GOTO(status, out, refuse_empty_matches(code, pattern));
    status = add_stage(pretokenizer, (ft_pretokenize_stage){.code = code});
    code = NULL;
out:
    pcre2_code_free(code);
    ft_text_free(&translated);
    return status;
}

ft_status ft_pretokenizer_add(ft_pretokenizer *pretokenizer, const char *pattern)
{
    ft_word_scan *scan = ft_word_scan_for(pattern);
    if (scan == NULL) return ft_pretokenizer_add_compiled(pretokenizer, pattern);
    return add_stage(pretokenizer, (ft_pretokenize_stage){.scan = scan});
}

void ft_pretokenizer_free(ft_pretokenizer *pretokenizer)
{
    for (int i = 0; i < pretokenizer->n; i++) pcre2_code_free(pretokenizer->stages[i].code);
    pretokenizer->n = 0;
}

ft_status ft_pretokenize_work_init(ft_pretokenize_work *work)
{
    work->match = pcre2_match_data_create(1, NULL);
    work->context = pcre2_match_context_create(NULL);
    work->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK_BYTES, NULL);
    if (work->match == NULL || work->context == NULL) return ft_error(FT_E_NOMEM, "out of memory: regular expression state");
    if (work->stack != NULL) pcre2_jit_stack_assign(work->context, NULL, work->stack);
    return FT_OK;
}

void ft_pretokenize_work_free(ft_pretokenize_work *work)
{
    pcre2_match_data_free(work->match);
    pcre2_match_context_free(work->context);
    pcre2_jit_stack_free(work->stack);
    *work = (ft_pretokenize_work){0};
}

typedef struct {
    const ft_pretokenizer *pretokenizer;
    ft_pretokenize_work *work;
    ft_word_visit visit;
    void *context;
    const uint8_t *classes;
} walk;

static ft_status match(const walk *w, const pcre2_code *code, const char *text, size_t bytes, size_t from, size_t *begin,
                       size_t *end)
{
    int found = pcre2_match(code, (PCRE2_SPTR)text, bytes, from, PCRE2_NO_UTF_CHECK, w->work->match,
                            w->work->context);
    *begin = *end = bytes;
    if (found == PCRE2_ERROR_NOMATCH) return FT_OK;
    if (found < 0) {
        char reason[256] = "";
        pcre2_get_error_message(found, (PCRE2_UCHAR *)reason, sizeof reason);
        return ft_error(FT_E_INPUT, "splitting text into words failed at byte %zu of %zu: %s", from, bytes, reason);
    }
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(w->work->match);
    *begin = span[0];
    *end = span[1];
    return FT_OK;
}

// The next match at or after `from`; *begin = *end = bytes if there is none.
static ft_status next_match(const walk *w, int stage, const char *text, size_t bytes, size_t from, size_t *begin, size_t *end)
{
    const ft_pretokenize_stage *s = &w->pretokenizer->stages[stage];
    if (s->scan == NULL) return match(w, s->code, text, bytes, from, begin, end);
    *end = s->scan(w->classes, text, bytes, from, begin);
    return FT_OK;
}

// Look-around sees the piece only: the text before and after it belongs to other pieces.
static ft_status split(const walk *w, int stage, const char *text, size_t bytes)
{
    if (bytes == 0) return FT_OK;
    if (stage == w->pretokenizer->n) return w->visit(w->context, text, bytes);
    size_t begin, end;
    for (size_t at = 0; at < bytes; at = end) {
        FT_TRY(next_match(w, stage, text, bytes, at, &begin, &end));
        FT_TRY(split(w, stage + 1, text + at, begin - at));
        FT_TRY(split(w, stage + 1, text + begin, end - begin));
    }
    return FT_OK;
}

ft_status ft_pretokenize(const ft_pretokenizer *pretokenizer, ft_pretokenize_work *work, const char *text, size_t bytes,
                         ft_word_visit visit, void *context)
{
    const walk w = {pretokenizer, work, visit, context, ft_unicode_classes()};
    return split(&w, 0, text, bytes);
}
