// Import: a GGUF file becomes a model directory of Hugging Face's kind (config.json, generation_config.json, tokenizer.json,
// tokenizer_config.json, safetensors).
//
// Quantized values are dequantized to float32 exactly as the gguf package does (io/gguf_dequantize.c) and rounded to nearest even
// to the chosen type, like every other tensor. The rows of q and k that llama.cpp reorders for models of the Llama architecture
// are put back. Memory: one row block (16 MiB of float32, or one head's rows if they are more) besides the metadata.
// Families: the rows of `families` (core/import/family.c), as far as core/arch knows them.
#ifndef FT_IMPORT_IMPORT_H
#define FT_IMPORT_IMPORT_H

#include "common/dtype.h"

typedef struct {
    const char *input;    // a GGUF file, or the first of a series (io/gguf.h)
    const char *output;
    ft_dtype dtype;       // BF16, F16 or F32: of every tensor written
    int64_t shard_bytes;  // 0 = 5 GB; a larger tensor stands alone
    bool overwrite;       // replaces `output` if it is a model (config.json), nothing else; an empty directory is always taken
    volatile int *stop;   // set: FT_E_STOPPED, nothing is left behind. May be NULL
} ft_import_options;

typedef struct {
    int64_t tensors, parameters, bytes;
    const char *architecture;  // "LlamaForCausalLM"
    int64_t vocab;             // tokens of the tokenizer
} ft_import_result;

// The output is committed atomically (io/commit.h). FT_E_EXISTS if it is there; FT_E_USAGE if it contains the input; FT_E_IO with
// the missing bytes if the disk lacks space, before anything is written; FT_E_UNSUPPORTED naming the architecture, metadata key,
// tensor encoding or tokenizer that is not implemented; FT_E_INPUT naming what is missing or contradicts itself; FT_E_NUMERIC naming
// a tensor with values that are not finite in `dtype`.
ft_status ft_import(const ft_import_options *options, ft_import_result *result);

#endif
