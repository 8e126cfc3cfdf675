// Where libraries of NVIDIA lie (cuda_library.h has the order). Not for use outside this folder.
#ifndef FT_DEVICE_CUDA_SEARCH_H
#define FT_DEVICE_CUDA_SEARCH_H

#include "common/text.h"

enum { FT_CUDA_MOST_FILES = 48, FT_CUDA_PATH_BYTES = 512 };

typedef struct {
    char path[FT_CUDA_PATH_BYTES];
    uint64_t device, inode;  // of the file, however it is reached; 0 for a bare name
    bool asked_for;  // lies in a folder of FT_CUDA_LIBRARY_PATH
    int version;     // what its name or the header beside it tells, as the library counts; 0 = they tell nothing
} ft_cuda_file;

typedef struct {
    ft_cuda_file file[FT_CUDA_MOST_FILES];
    int n;
} ft_cuda_files;

// Adds the files called `name`, in order and each file once; the bare name, which leaves the search to the dynamic loader, is the last of them.
void ft_cuda_search(ft_cuda_files *files, const char *name);
// The folders and patterns that are searched, "A, B, C".
ft_status ft_cuda_search_places(ft_text *out);
// Reads the version that a file's real name ("libcudnn.so.9.14.0") or ../include/cudnn_version.h tells; 0 if neither does.
int ft_cuda_file_version(const char *path);

#endif
