// GGUF files (versions 2 and 3, little endian), read only.
//
//   bytes 0..3     "GGUF"
//   bytes 4..7     u32 version; u64 number of tensors; u64 number of metadata entries
//   entries        key (text), u32 value type, value; text = u64 length and bytes; array = u32 element type, u64 count, elements
//   tensors        name (text), u32 rank, u64 extent x rank (the fastest first), u32 encoding, u64 offset into the data part
//   data           begins at the next multiple of general.alignment (u32, a power of two, 32 if absent), and so does every tensor
//
// The reader trusts nothing: counts, lengths, types, duplicate names, shapes and offsets are checked against the bytes there are,
// and every error names the file and the key or tensor. Tensors lie one after the other in the order of their entries, as
// llama.cpp demands: neither gaps nor overlaps. A malformed file is FT_E_INPUT; another version, big endian, an unknown encoding
// and nested arrays are FT_E_UNSUPPORTED.
#ifndef FT_IO_GGUF_H
#define FT_IO_GGUF_H

#include "common/status.h"

#define FT_GGUF_MAX_RANK 4

// Not terminated; points into the file.
typedef struct {
    const char *data;
    size_t bytes;
} ft_gguf_text;

// The format's numbers.
typedef enum {
    FT_GGUF_U8, FT_GGUF_I8, FT_GGUF_U16, FT_GGUF_I16, FT_GGUF_U32, FT_GGUF_I32, FT_GGUF_F32, FT_GGUF_BOOL, FT_GGUF_TEXT,
    FT_GGUF_ARRAY, FT_GGUF_U64, FT_GGUF_I64, FT_GGUF_F64, FT_GGUF_TYPE_COUNT,
} ft_gguf_type;

typedef struct {
    ft_gguf_text key;
    ft_gguf_type type;         // of the value; of the elements, if is_array (never ARRAY)
    bool is_array;
    uint64_t count;            // elements; 1 for a scalar
    const unsigned char *data; // first element, unaligned
} ft_gguf_value;

// An encoding of values: `block` consecutive values of a row take `bytes` bytes.
typedef struct {
    uint32_t type;
    const char *name;
    int block, bytes;
    // n blocks to float32, the arithmetic of ggml's reference (gguf.quants.dequantize): the same bits for finite scales. Only the
    // caller may know that src has n * bytes bytes. NULL: not implemented.
    void (*dequantize)(float *dst, const unsigned char *src, int64_t n);
} ft_gguf_encoding;
const ft_gguf_encoding *ft_gguf_encoding_of(uint32_t type);  // NULL if unknown

typedef struct {
    ft_gguf_text name;
    const ft_gguf_encoding *encoding;
    int rank;
    int64_t shape[FT_GGUF_MAX_RANK];  // the file's order: shape[0] is contiguous and a multiple of the encoding's block
    int64_t elements, bytes;
    int64_t offset;                   // of the first byte, in the file
    int file;                         // index of the part in a series (0 for a single file)
} ft_gguf_tensor;

// Points into the bytes it was parsed from.
typedef struct {
    char *path;
    const unsigned char *data;
    size_t bytes;
    ft_gguf_value *values;    // by key
    int n_values;
    ft_gguf_tensor *tensors;  // by name
    int n_tensors;
    int fd;                   // -1 unless opened from a file
} ft_gguf;

// Maps the file and parses its header. The file must not shrink while it is open.
ft_status ft_gguf_open(ft_gguf *file, const char *path);
// The same from memory that outlives *file; `path` is for messages. Nothing beyond `bytes` is touched: the entry for fuzzing.
ft_status ft_gguf_parse(ft_gguf *file, const char *path, const void *data, size_t bytes);
void ft_gguf_close(ft_gguf *file);  // of either; also after a failure

const ft_gguf_value *ft_gguf_find(const ft_gguf *file, const char *key);            // NULL if absent
const ft_gguf_tensor *ft_gguf_find_tensor(const ft_gguf *file, const char *name);   // NULL if absent
// Bytes [begin, begin + n) of the tensor's data, by pread: a failing drive is an error and not a signal.
ft_status ft_gguf_read(const ft_gguf *file, const ft_gguf_tensor *tensor, int64_t begin, int64_t n, void *dst);

// A model in one file, or in the parts NAME-00001-of-0000N.gguf that llama-gguf-split makes: the first part has the metadata, each
// has tensors of its own.
typedef struct {
    ft_gguf *files;  // files[0] has the metadata
    int n_files;
} ft_gguf_series;

// Opens a single file or, given the first part, all of them. FT_E_INPUT if it is another part, or a part is missing, belongs to
// another series or has a tensor that an earlier one has.
ft_status ft_gguf_series_open(ft_gguf_series *series, const char *path);
void ft_gguf_series_close(ft_gguf_series *series);  // also after a failure, and of {0}
const ft_gguf_tensor *ft_gguf_series_find(const ft_gguf_series *series, const char *name);  // NULL if absent
ft_status ft_gguf_series_read(const ft_gguf_series *series, const ft_gguf_tensor *tensor, int64_t begin, int64_t n, void *dst);

// Element `i` of a numeric or boolean value or array. What lies beyond int64_t comes out as its nearest end; reals lose their
// fraction, NaN is 0.
int64_t ft_gguf_integer(const ft_gguf_value *value, uint64_t i);
double ft_gguf_real(const ft_gguf_value *value, uint64_t i);
bool ft_gguf_is_integer(const ft_gguf_value *value);  // scalar or array of whole numbers
bool ft_gguf_is_real(const ft_gguf_value *value);     // of F32 or F64
// Steps through the texts of a TEXT value or array: *at starts as value->data; call at most `count` times.
ft_gguf_text ft_gguf_next_text(const unsigned char **at);
bool ft_gguf_text_is(ft_gguf_text text, const char *word);

#endif
