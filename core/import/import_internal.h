// The state of a running import and the parts its files share: import.c is the order of things, family.c knows GGUF's names,
// model_config.c makes config.json, rope_factors.c recognises rope scaling, tensors.c decides which tensor goes where, weights.c
// converts and writes, vocab.c and the tokenizer_*.c files make the tokenizer.
#ifndef FT_IMPORT_IMPORT_INTERNAL_H
#define FT_IMPORT_IMPORT_INTERNAL_H

#include <jansson.h>

#include "arch/families.h"
#include "common/log.h"
#include "import/import.h"
#include "import/metadata.h"
#include "import/vocab.h"
#include "io/commit.h"
#include "io/model_output.h"
#include "io/model_shards.h"
#include "io/safetensors.h"

// What GGUF makes of a family.
typedef struct {
    const char *name;  // general.architecture, which is the family's model_type
    bool permuted;     // rows of q and k are interleaved for llama.cpp's rotary embedding
} import_family;

// A tensor of the output, in the order of writing.
typedef struct {
    ft_role role;
    const ft_gguf_tensor *source;
    char name[FT_TENSOR_NAME];
    int64_t rows, cols;        // vectors: 1 x n
} import_tensor;

typedef struct {
    const ft_import_options *options;
    ft_model_output output;
    ft_gguf_series series;
    const ft_gguf *file;       // its first: the metadata
    const ft_family *family;
    bool permuted;             // import_family
    char *config;              // config.json, heap
    ft_shape shape;            // what it says
    ft_vocab_source vocab;
    import_tensor *tensors;
    int64_t n_tensors;
    ft_model_entry *entries;   // of `tensors`
    ft_model_shard *shards;
    int64_t n_shards;
    int64_t total_bytes;       // of tensor data to be written
    ft_commit commit;
    ft_progress progress;
    double written;
} import;

// family.c
ft_status ft_import_find_family(import *im);
// GGUF's name of a tensor into `name`.
void ft_import_source_name(ft_role role, int64_t layer, char name[FT_TENSOR_NAME]);

// model_config.c: fills im->config and im->shape.
ft_status ft_import_make_config(import *im);

// rope_factors.c: llama3's parameters from the factors of rope_freqs.weight.
typedef struct {
    double factor, low, high;
    int64_t original_positions;
} import_rope;
// *found is false where every factor is 1 or there are none. FT_E_UNSUPPORTED if the factors are not those of Llama 3.
ft_status ft_import_rope(const ft_gguf_series *series, double theta, int64_t head_dim, import_rope *rope, bool *found);

// tensors.c
ft_status ft_import_plan(import *im);
void ft_import_plan_free(import *im);

// weights.c
ft_status ft_import_write_weights(import *im);

#endif
