// Byte-pair encoding of one word (Sennrich et al. 2016; the merge order is that of Hugging Face's tokenizers): while any
// neighbouring pair has a merge, the pair of lowest rank, the leftmost of equals, becomes one token. The units a word starts
// from are its bytes (byte-level vocabularies) or its characters (SentencePiece's).
//
// Short words are merged by a linear scan, long ones (a megabyte of one letter is a word) with a priority heap; recent words
// are kept in a cache. ft_bpe is read-only after loading; each thread brings its own ft_bpe_work.
#ifndef FT_TOKENIZER_BPE_H
#define FT_TOKENIZER_BPE_H

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab.h"

typedef struct {
    uint64_t pair;           // left id << 32 | right id
    int32_t rank, id;        // position in the merge list, what the pair becomes
} ft_merge;

typedef struct {
    ft_merge *merges;        // open addressing
    size_t merges_mask;
    const ft_vocab *vocab;
    int32_t byte_id[256];    // token of a single byte, -1 if the vocabulary has none
    bool characters;         // units are characters; a byte that is not UTF-8 is a unit without a token
    bool falls_back;         // a character without a token becomes the tokens of its bytes, if all are there
    int32_t fallback_id[256];  // "<0x00>" ..., -1 if absent
    bool cuts;               // a word may be cut where ft_bpe_joins is false without changing its tokens
    uint32_t joins[256][8];  // bit y of row x: some merge joins a token ending in byte x to one starting with byte y
    int32_t unknown;         // stands for a unit without a token; -1: such units vanish, as in the reference
    bool fuse_unknown;       // a run of them is one token
    bool ignore_merges;      // a word that is a token is that token, whatever the merges say
} ft_bpe;

// All but the tables is the caller's to set before.
ft_status ft_bpe_init(ft_bpe *bpe, const ft_vocab *vocab, size_t n_merges);
// Enters the merge of two tokens given as bytes. FT_E_INPUT if a part or the result is not in the vocabulary.
ft_status ft_bpe_add_merge(ft_bpe *bpe, int32_t rank, const char *left, size_t left_bytes, const char *right,
                           size_t right_bytes);
void ft_bpe_free(ft_bpe *bpe);

typedef struct {
    int32_t id, previous, next;  // neighbours in the word, -1 at its ends; id -1: merged into the left one
} ft_bpe_symbol;

typedef struct {
    int32_t rank, position, id;
} ft_bpe_candidate;

typedef struct ft_word_cache ft_word_cache;

// Scratch of one thread.
typedef struct {
    ft_word_cache *cache;
    ft_ids word;                  // tokens of the word at hand
    ft_bpe_symbol *symbols;
    ft_bpe_candidate *heap;
    int32_t n_heap, capacity;     // symbols and, three times that, heap entries
} ft_bpe_work;

ft_status ft_bpe_work_init(ft_bpe_work *work);
void ft_bpe_work_free(ft_bpe_work *work);
// The unit `text` starts with: its length, and its token or -1.
size_t ft_bpe_unit(const ft_bpe *bpe, const char *text, size_t bytes, int32_t *id);
// Whether a unit without a token becomes the tokens of its bytes.
bool ft_bpe_falls_back(const ft_bpe *bpe, const char *unit, size_t bytes);
// Whether a token may stand for other bytes than its own: the unknown one, and "<0xE2>".
bool ft_bpe_is_substitute(const ft_bpe *bpe, int32_t id);
// Whether some merge may join a token ending in byte `left` to one starting with byte `right`.
static inline bool ft_bpe_joins(const ft_bpe *bpe, char left, char right)
{
    return bpe->joins[(uint8_t)left][(uint8_t)right >> 5] >> ((uint8_t)right & 31) & 1;
}

// Appends the tokens of a word (any bytes).
ft_status ft_bpe_encode(const ft_bpe *bpe, ft_bpe_work *work, const char *word, size_t bytes, ft_ids *ids);
// bpe_ends.c: ends[i] = bytes of the word up to the end of ids[i], given all n tokens of that word. Not decreasing; the last is
// `bytes`.
void ft_bpe_ends(const ft_bpe *bpe, const char *word, size_t bytes, const int32_t *ids, int64_t n, int64_t *ends);

// bpe_heap.c: merges work->word in place with a heap, O(n log n).
ft_status ft_bpe_merge_long(const ft_bpe *bpe, ft_bpe_work *work);

static inline uint64_t ft_merge_pair(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

// The merge of a pair, NULL if there is none. Fibonacci hashing: the ids sit in both halves of the key.
static inline const ft_merge *ft_merge_find(const ft_bpe *bpe, int32_t left, int32_t right)
{
    uint64_t pair = ft_merge_pair(left, right);
    size_t slot = (pair * 0x9E3779B97F4A7C15u >> 24) & bpe->merges_mask;
    for (; bpe->merges[slot].rank >= 0; slot = (slot + 1) & bpe->merges_mask) {
        if (bpe->merges[slot].pair == pair) return &bpe->merges[slot];
    }
    return NULL;
}

#endif
