// tokenizer.json, as Hugging Face's tokenizers reads it: of the GPT-2, Llama 3 and Qwen 2 kind from byte-level BPE, of the Llama 2
// kind from SentencePiece BPE.
//
// Every token stands in model.vocab, added tokens too, so that the ids hold wherever they lie. Control, unknown and user-defined
// tokens are added tokens: they are found in texts before anything is cut.
#include <inttypes.h>

#include "common/memory.h"
#include "import/vocab.h"

#define SPACE "\xe2\x96\x81"  // U+2581, SentencePiece's mark of a word's begin

static ft_status no_text(const ft_vocab_source *vocab, int32_t id)
{
    return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.tokens: %" PRId32 " is not UTF-8, or memory has run out", vocab->file->path, id);
}

static ft_status build_vocab(const ft_vocab_source *vocab, json_t *map)
{
    for (int32_t id = 0; id < vocab->n; id++) {
        ft_gguf_text text = vocab->tokens[id];
        if (ft_vocab_source_is_filler(vocab, id)) continue;
        if (json_object_setn_new(map, text.data, text.bytes, json_integer(id)) != 0) return no_text(vocab, id);
    }
    return FT_OK;
}

static bool is_added(ft_token_type type)
{
    return type == FT_TOKEN_UNKNOWN || type == FT_TOKEN_CONTROL || type == FT_TOKEN_USER_DEFINED;
}

static ft_status build_added(const ft_vocab_source *vocab, json_t *list)
{
    for (int32_t id = 0; id < vocab->n; id++) {
        ft_token_type type = ft_vocab_source_type(vocab, id);
        ft_gguf_text text = vocab->tokens[id];
        if (!is_added(type) || text.bytes == 0) continue;
        json_t *entry = json_pack("{s:i, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", text.data, text.bytes, "single_word", 0,
                                  "lstrip", 0, "rstrip", 0, "normalized", 0, "special", type != FT_TOKEN_USER_DEFINED);
        if (json_array_append_new(list, entry) != 0) return no_text(vocab, id);
    }
    return FT_OK;
}

static json_t *byte_level(bool add_prefix_space, bool trim_offsets, bool use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", add_prefix_space, "trim_offsets", trim_offsets,
                     "use_regex", use_regex);
}

static json_t *pre_tokenizer(const ft_vocab_source *vocab)
{
    const ft_pre_tokenizer *pre = vocab->pre;
    if (vocab->sentencepiece) return json_null();
    if (pre->pattern != NULL)
        return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split", "pattern", "Regex",
                         pre->pattern, "behavior", "Isolated", "invert", 0, byte_level(false, true, false));
    if (pre->digits)
        return json_pack("{s:s, s:[{s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Digits", "individual_digits", 1,
                         byte_level(false, true, true));
    return byte_level(false, true, true);
}

static json_t *normalizer(const ft_vocab_source *vocab)
{
    if (!vocab->sentencepiece) return vocab->pre->nfc ? json_pack("{s:s}", "type", "NFC") : json_null();
    json_t *spaces = json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ", "content", SPACE);
    if (!vocab->add_space_prefix) return spaces;
    return json_pack("{s:s, s:[{s:s, s:s}, o]}", "type", "Sequence", "normalizers", "type", "Prepend", "prepend", SPACE, spaces);
}

static json_t *decoder(const ft_vocab_source *vocab)
{
    if (!vocab->sentencepiece) return byte_level(true, true, true);
    json_t *steps = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String", SPACE, "content", " ", "type",
                              "ByteFallback", "type", "Fuse");
    if (vocab->add_space_prefix)
        json_array_append_new(steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

static json_t *special_piece(ft_gguf_text text, int segment)
{
    return json_pack("{s:{s:s%, s:i}}", "SpecialToken", "id", text.data, text.bytes, "type_id", segment);
}

// One text of a template: BOS, EOS where the file wants them.
static void add_segment(const ft_vocab_source *vocab, json_t *list, const char *name, int segment)
{
    if (vocab->add_bos) json_array_append_new(list, special_piece(vocab->tokens[vocab->bos], segment));
    json_array_append_new(list, json_pack("{s:{s:s, s:i}}", "Sequence", "id", name, "type_id", segment));
    if (vocab->add_eos) json_array_append_new(list, special_piece(vocab->tokens[vocab->eos], segment));
}

static void add_special(const ft_vocab_source *vocab, json_t *map, int32_t id)
{
    ft_gguf_text text = vocab->tokens[id];
    json_object_setn_new(map, text.data, text.bytes,
                         json_pack("{s:s%, s:[i], s:[s%]}", "id", text.data, text.bytes, "ids", id, "tokens", text.data, text.bytes));
}

static json_t *post_processor(const ft_vocab_source *vocab)
{
    if (!vocab->add_bos && !vocab->add_eos) return vocab->sentencepiece ? json_null() : byte_level(true, false, true);
    json_t *single = json_array(), *pair = json_array(), *special = json_object();
    add_segment(vocab, single, "A", 0);
    add_segment(vocab, pair, "A", 0);
    add_segment(vocab, pair, "B", 1);
    if (vocab->add_bos) add_special(vocab, special, vocab->bos);
    if (vocab->add_eos) add_special(vocab, special, vocab->eos);
    json_t *template = json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair", pair,
                                 "special_tokens", special);
    if (vocab->sentencepiece) return template;
    return json_pack("{s:s, s:[o, o]}", "type", "Sequence", "processors", byte_level(true, false, true), template);
}

static json_t *model_json(const ft_vocab_source *vocab, json_t *map, json_t *merges)
{
    bool pieces = vocab->sentencepiece;
    json_t *unknown = json_null();
    if (pieces && vocab->unknown >= 0) unknown = json_stringn(vocab->tokens[vocab->unknown].data, vocab->tokens[vocab->unknown].bytes);
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token", unknown,
                     "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", pieces, "byte_fallback", pieces, "ignore_merges",
                     !pieces && vocab->pre->ignore_merges, "vocab", map, "merges", merges);
}

static ft_status assemble(const ft_vocab_source *vocab, json_t *added, json_t *map, json_t *merges, json_t **root)
{
    *root = json_pack("{s:s, s:n, s:n, s:O, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding", "added_tokens", added,
                      "normalizer", normalizer(vocab), "pre_tokenizer", pre_tokenizer(vocab), "post_processor", post_processor(vocab),
                      "decoder", decoder(vocab), "model", model_json(vocab, json_incref(map), json_incref(merges)));
    return *root != NULL ? FT_OK : ft_error(FT_E_NOMEM, "out of memory: tokenizer.json");
}

ft_status ft_tokenizer_build(const ft_vocab_source *vocab, json_t **root)
{
    json_t *map = json_object(), *added = json_array(), *merges = NULL;
    ft_status status = map && added ? FT_OK : ft_error(FT_E_NOMEM, "out of memory: tokenizer.json");
    if (status == FT_OK) status = build_vocab(vocab, map);
    if (status == FT_OK) status = build_added(vocab, added);
    if (status == FT_OK) status = ft_tokenizer_merges(vocab, &merges);
    if (status == FT_OK) status = assemble(vocab, added, map, merges, root);
    json_decref(map);
    json_decref(added);
    json_decref(merges);
    return status;
}
