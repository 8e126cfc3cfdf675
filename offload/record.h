// Records: what one layer, the embedding and the head are made of, byte by byte. A pure function of the shape and of the form
// each tensor is kept in, shared by `prepare`, the plan and the streamer.
//
// A record is a sequence of extents, one per matrix group (qkv, o, gate+up, down) and one for small tensors (norms, biases).
// An extent holds, for each of its matrices: codes [rows, cols] row-major, then, if quantized, the W scale array and (TILE)
// the W^T scale array, each float32 and laid out as common/codec.h says. Pieces start at multiples of 256 bytes; extents are
// padded to FT_EXTENT_ALIGN, so any G-way slice on 4 KiB bounds exists. Padding is zero.
// Parts of a group (q|k|v, gate|up) share one stacked matrix if all have one dtype and one kind of scales and the stack needs no
// scale of its own: unscaled, scaled by rows, or by tiles where each part's rows are a multiple of 128. Otherwise each part is
// its own matrix.
// Forms: a linear of a bf16, f16 or f32 checkpoint is kept as the base format says, E4M3 with tile scales (fp8) or bf16. The
// linears of a quantized checkpoint (base format fp8 only) are kept as they come: E4M3 with the checkpoint's kind of scales,
// or unquantized in their own dtype. What is not a linear keeps its dtype.
#ifndef FT_OFFLOAD_RECORD_H
#define FT_OFFLOAD_RECORD_H

#include "arch/shape.h"
#include "common/codec.h"
#include "kernels/ops.h"

#define FT_EXTENT_ALIGN (256 * 1024)
#define FT_STRIPE_BYTES (4 << 20)
#define FT_RECORD_TENSORS 16
#define FT_RECORD_LAYERS ((int64_t)1 << 16)  // of a layout at most

typedef enum { FT_BASE_FP8, FT_BASE_BF16 } ft_base_format;
typedef enum { FT_RECORD_LAYER, FT_RECORD_EMBED, FT_RECORD_HEAD } ft_record_kind;

// One matrix or vector of a record. Offsets count from the start of the record.
typedef struct {
    ft_role role;             // first part
    int n_parts;              // consecutive roles stacked along rows
    ft_group group;
    ft_dtype dtype;
    ft_scale_kind kind;
    int64_t rows, cols;
    int64_t codes, codes_bytes;
    int64_t scales, scales_t; // -1 if none
} ft_record_tensor;

typedef struct {
    int64_t offset, bytes;    // bytes is padded; 0 = the record has no such extent
} ft_extent;

typedef struct {
    ft_record_kind kind;
    int64_t layer;            // of a layer record, else -1
    int64_t bytes;            // sum of extents
    ft_extent extent[FT_GROUP_COUNT];  // EMBED and HEAD use only FT_GROUP_SMALL
    ft_record_tensor tensor[FT_RECORD_TENSORS];
    int n_tensors;
} ft_record;

// Records 0 .. layers-1 are the layers, then the embedding, then the head: final norm, and the head matrix unless tied (then
// the head's matrix is the embedding record's: one record, two uses).
typedef struct {
    ft_shape shape;
    ft_base_format format;
    ft_record *record;        // heap
    int n_records;
    int64_t bytes;            // of all records
    int64_t layer_bytes_max;
} ft_layout;

// Linears, embedding and head; the rest are vectors (norms, biases).
static inline bool ft_role_is_matrix(ft_role role)
{
    return (role >= FT_ROLE_Q && role <= FT_ROLE_O) || (role >= FT_ROLE_GATE && role <= FT_ROLE_DOWN) || role == FT_ROLE_EMBED ||
           role == FT_ROLE_HEAD;
}

// The form a tensor is kept in.
typedef struct {
    ft_dtype dtype;
    ft_scale_kind kind;       // other than NONE only for E4M3 linears
} ft_form;
// The form of one part (layer -1: embedding, final norm, head).
typedef ft_form (*ft_form_of)(void *context, ft_role role, int64_t layer);
ft_form ft_base_form(ft_base_format format);  // of a linear that is converted
bool ft_role_is_linear(ft_role role);
// form NULL: linears in the base form, everything else in shape->dtype. FT_E_INPUT if a size is absurd.
ft_status ft_layout_make(ft_layout *layout, const ft_shape *shape, ft_base_format format, ft_form_of form, void *context);
// The layout that config.json alone lets expect: of a quantized checkpoint, with the linears quantized that its lists say.
// FT_E_UNSUPPORTED for bf16 from a quantized checkpoint.
ft_status ft_layout_expect(ft_layout *layout, const ft_shape *shape, ft_base_format format, const char *model_directory);
// FT_E_UNSUPPORTED if the model at `path` cannot be kept in that format: a quantized one is fp8 only.
ft_status ft_base_format_check(const ft_shape *shape, ft_base_format format, const char *path);
void ft_layout_free(ft_layout *layout);
static inline int ft_layout_embed(const ft_layout *layout) { return (int)layout->shape.layers; }
static inline int ft_layout_head(const ft_layout *layout) { return (int)layout->shape.layers + 1; }

const ft_record_tensor *ft_record_find(const ft_record *record, ft_role role);  // the tensor that contains the role, or NULL
// Views into a record that lies at `base` (host or device address).
ft_matrix ft_record_matrix(const ft_record_tensor *tensor, const void *base);
int64_t ft_record_codes_bytes(const ft_record *record);  // matrix codes alone, without scales, vectors and padding

#endif
