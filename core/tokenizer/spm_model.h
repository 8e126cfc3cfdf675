// A SentencePiece model file: a protobuf message (sentencepiece_model.proto) of which these fields are read:
//
//   ModelProto      1 repeated SentencePiece   2 TrainerSpec   3 NormalizerSpec
//   SentencePiece   1 piece, text   2 score, float   3 type
//   TrainerSpec     3 model_type: 2 is BPE   35 byte_fallback   40 unk_id   41 bos_id   42 eos_id
//   NormalizerSpec  2 precompiled_charsmap   3 add_dummy_prefix
#ifndef FT_TOKENIZER_SPM_MODEL_H
#define FT_TOKENIZER_SPM_MODEL_H

#include "common/status.h"

enum { FT_SPM_NORMAL = 1, FT_SPM_UNKNOWN = 2, FT_SPM_CONTROL = 3, FT_SPM_USER_DEFINED = 4 };

typedef struct {
    const char *text;  // in the file's bytes, not terminated
    size_t bytes;
    float score;
    int type;
} ft_spm_piece;

typedef struct {
    ft_spm_piece *pieces;
    int32_t n, capacity;
    int model_type;
    bool byte_fallback, add_prefix, has_charsmap;
    int32_t unk, bos, eos;
} ft_spm_model;

// Fields with the format's defaults. The model points into `bytes`. FT_E_INPUT if this is no such file, FT_E_UNSUPPORTED if it is
// not BPE or has a normalization rule. To be freed in any case.
ft_status ft_spm_model_read(ft_spm_model *model, const char *bytes, size_t n);
void ft_spm_model_free(ft_spm_model *model);

#endif
