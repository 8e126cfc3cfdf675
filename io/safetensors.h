// safetensors files, reader and writer.
//
//   bytes 0..7      u64, little endian: N, length of the header
//   bytes 8..8+N-1  JSON object: name -> {"dtype", "shape", "data_offsets": [begin, end]}, and "__metadata__": {string: string}
//   bytes 8+N..     data; offsets count from here; pieces are contiguous, in order, without gaps or overlaps
// The reader trusts nothing: header size (at most 100 MB), JSON, duplicate names, dtype, shape overflow, offsets against size
// and file length are all checked, and every error names file and tensor. Data of a tensor may start at any byte.
// A malformed file is FT_E_INPUT, an element type that ft_dtype lacks or a rank above FT_TENSOR_MAX_RANK FT_E_UNSUPPORTED.
#ifndef FT_IO_SAFETENSORS_H
#define FT_IO_SAFETENSORS_H

#include "common/dtype.h"
#include "io/hash.h"

#define FT_TENSOR_MAX_RANK 8

typedef struct {
    char *name;
    ft_dtype dtype;
    int rank;
    int64_t shape[FT_TENSOR_MAX_RANK];
    int64_t elements;
    int64_t bytes;
    int64_t offset;  // absolute byte offset in the file
    int file;        // index of the shard in a model (0 for a single file)
} ft_tensor_info;

// One open file: its header only.
typedef struct {
    char *path;
    int fd;
    int64_t file_bytes;
    int64_t header_bytes;     // N
    ft_hash128 header_hash;   // of the N bytes
    int64_t mtime_ns;
    ft_tensor_info *tensors;  // in file order
    int n_tensors;
} ft_safetensors;

ft_status ft_safetensors_open(ft_safetensors *file, const char *path);
void ft_safetensors_close(ft_safetensors *file);
const ft_tensor_info *ft_safetensors_find(const ft_safetensors *file, const char *name);  // NULL if absent
// Value of a "__metadata__" key as a heap string, FT_E_NOT_FOUND if absent.
ft_status ft_safetensors_metadata(const ft_safetensors *file, const char *key, char **value);
// Reads bytes [begin, begin + n) of the tensor's data.
ft_status ft_safetensors_read(const ft_safetensors *file, const ft_tensor_info *tensor, int64_t begin, int64_t n, void *dst);

// A model directory: model.safetensors, or model.safetensors.index.json with its shards. Checks that the index and the shards
// agree (every tensor exactly once, in the shard the index says).
typedef struct {
    char *directory;
    ft_safetensors *files;
    int n_files;
    const ft_tensor_info **sorted;  // all tensors by name
    int n_tensors;
    int64_t total_bytes;
} ft_model_files;

ft_status ft_model_files_open(ft_model_files *model, const char *directory);
void ft_model_files_close(ft_model_files *model);
const ft_tensor_info *ft_model_files_find(const ft_model_files *model, const char *name);
ft_status ft_model_files_read(const ft_model_files *model, const ft_tensor_info *tensor, int64_t begin, int64_t n, void *dst);

// Writer: declare every tensor, begin (writes the header), then the data of each tensor in declaration order, in pieces of any
// size. Ended by ft_safetensors_discard in every case, after ft_safetensors_finish or instead of it.
typedef struct ft_safetensors_writer ft_safetensors_writer;
ft_status ft_safetensors_create(ft_safetensors_writer **writer, const char *path);
ft_status ft_safetensors_metadata_add(ft_safetensors_writer *writer, const char *key, const char *value);
ft_status ft_safetensors_declare(ft_safetensors_writer *writer, const char *name, ft_dtype dtype, int rank, const int64_t *shape);
ft_status ft_safetensors_begin(ft_safetensors_writer *writer);
ft_status ft_safetensors_write(ft_safetensors_writer *writer, const void *data, int64_t bytes);
ft_status ft_safetensors_finish(ft_safetensors_writer *writer, bool sync);  // checks that every declared byte was written
void ft_safetensors_discard(ft_safetensors_writer *writer);                 // frees (NULL too); an unfinished file is removed

#endif
