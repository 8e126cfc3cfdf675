// Merges of tokenizer.json's BPE model.
//
// gpt2: the file has them, "left right", best first. llama (SentencePiece BPE): the file has scores. As transformers' converter
// does (generate_merges): every cut of a token into two tokens is a merge with the token's score; they stand by descending score,
// number of characters of the left part, of the right part; equal ones in the order of the tokens, then of the parts' ids.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "import/vocab.h"

// The longest SentencePiece token whose cuts are tried: the work grows with the square.
#define LONGEST 512
// Bytes of the longest merge; those of real files are below 1 KiB.
#define LONGEST_MERGE 65536

typedef struct {
    double score;
    int32_t left, right;              // ids
    int32_t left_chars, right_chars;
    int64_t order;                    // of discovery, for equal ones
} merge;

typedef struct {
    merge *items;
    int64_t n, capacity;
} merge_list;

static ft_status add(merge_list *list, merge item)
{
    if (list->n == list->capacity) {
        int64_t capacity = list->capacity == 0 ? 4096 : 2 * list->capacity;
        merge *items = ft_realloc(list->items, (size_t)capacity * sizeof *items);
        FT_ALLOC_CHECK(items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = item;
    return FT_OK;
}

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

static int32_t characters(ft_gguf_text text)
{
    int32_t n = 0;
    for (size_t i = 0; i < text.bytes; i++) n += begins_character(text.data[i]);
    return n;
}

static int by_parts(const void *a, const void *b)
{
    const merge *x = a, *y = b;
    if (x->left != y->left) return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

static int best_first(const void *a, const void *b)
{
    const merge *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->left_chars != y->left_chars) return x->left_chars > y->left_chars ? -1 : 1;
    if (x->right_chars != y->right_chars) return x->right_chars > y->right_chars ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static ft_status cut_token(const ft_vocab_source *vocab, int32_t id, merge_list *list)
{
    ft_gguf_text text = vocab->tokens[id];
    int64_t first = list->n;
    int32_t chars = 0, total = characters(text);
    double score = ft_gguf_real(vocab->scores, (uint64_t)id);
    for (size_t at = 1; at < text.bytes && text.bytes <= LONGEST; at++) {
        if (!begins_character(text.data[at])) continue;
        chars++;
        int32_t left = ft_vocab_source_find(vocab, text.data, at);
        int32_t right = left < 0 ? -1 : ft_vocab_source_find(vocab, text.data + at, text.bytes - at);
        if (right >= 0) FT_TRY(add(list, (merge){score, left, right, chars, total - chars, 0}));
    }
    if (list->n > first) qsort(list->items + first, (size_t)(list->n - first), sizeof *list->items, by_parts);
    for (int64_t i = first; i < list->n; i++) list->items[i].order = i;
    return FT_OK;
}

static ft_status from_scores(const ft_vocab_source *vocab, json_t *merges)
{
    merge_list list = {0};
    ft_status status = FT_OK;
    for (int32_t id = 0; id < vocab->n && status == FT_OK; id++) status = cut_token(vocab, id, &list);
    if (status == FT_OK && list.n > 0) qsort(list.items, (size_t)list.n, sizeof *list.items, best_first);
    for (int64_t i = 0; i < list.n && status == FT_OK; i++) {
        ft_gguf_text left = vocab->tokens[list.items[i].left], right = vocab->tokens[list.items[i].right];
        // A pair, because a part may contain a space.
        if (json_array_append_new(merges, json_pack("[s%, s%]", left.data, left.bytes, right.data, right.bytes)) != 0)
            status = ft_error(FT_E_NOMEM, "out of memory: merges of the tokenizer");
    }
    ft_free(list.items);
    return status;
}

// The whole and both parts must be tokens: tokenizers refuses to load anything else.
static bool is_merge(const ft_vocab_source *vocab, ft_gguf_text text, char *joined, size_t capacity)
{
    const char *space = memchr(text.data, ' ', text.bytes);
    if (space == NULL || text.bytes > capacity) return false;
    size_t left = (size_t)(space - text.data), right = text.bytes - left - 1;
    memcpy(joined, text.data, left);
    memcpy(joined + left, space + 1, right);
    return ft_vocab_source_find(vocab, text.data, left) >= 0 && ft_vocab_source_find(vocab, space + 1, right) >= 0 &&
           ft_vocab_source_find(vocab, joined, left + right) >= 0;
}

static ft_status from_file(const ft_vocab_source *vocab, json_t *merges)
{
    const unsigned char *at = vocab->merges->data;
    ft_status status = FT_OK;
    char *joined = ft_malloc(LONGEST_MERGE);
    FT_ALLOC_CHECK(joined);
    for (uint64_t i = 0; i < vocab->merges->count && status == FT_OK; i++) {
        ft_gguf_text text = ft_gguf_next_text(&at);
        if (!is_merge(vocab, text, joined, LONGEST_MERGE) ||
            json_array_append_new(merges, json_stringn(text.data, text.bytes)) != 0)
            status = ft_error(FT_E_INPUT, "%s: tokenizer.ggml.merges: %" PRIu64 " does not join two tokens to a third",
                              vocab->file->path, i);
    }
    ft_free(joined);
    return status;
}

ft_status ft_tokenizer_merges(const ft_vocab_source *vocab, json_t **merges)
{
    *merges = json_array();
    if (*merges == NULL) return ft_error(FT_E_NOMEM, "out of memory: merges of the tokenizer");
    return vocab->sentencepiece ? from_scores(vocab, *merges) : from_file(vocab, *merges);
}
