// NVIDIA's libraries, found and loaded at run time, never linked: one program starts on every machine.
//
// Where they are looked for, in this order: the folders of FT_CUDA_LIBRARY_PATH (ours, like LD_LIBRARY_PATH), those of
// LD_LIBRARY_PATH, the system's, lib64 and lib below CUDA_HOME, CUDA_PATH and /usr/local/cuda*, the folders pip installs to
// (nvidia/*/lib in the site-packages of $VIRTUAL_ENV, $CONDA_PREFIX, /opt/*/.venv, ~/.local, /usr/local and /usr), and what the
// dynamic loader finds by name. The first that is new enough is taken, of cuDNN the newest (FT_CUDA_LIBRARY_PATH first): a
// version that misses bugs fixed since is passed over where a better one can be found. cuBLASLt 12.9 has the block-scaled FP8
// products; cuDNN 9.15.1 is the first whose packed attention we trust.
#ifndef FT_DEVICE_CUDA_LIBRARY_H
#define FT_DEVICE_CUDA_LIBRARY_H

#include "common/text.h"

typedef enum { FT_LIBRARY_CUBLASLT, FT_LIBRARY_CUDNN, FT_LIBRARY_NCCL, FT_LIBRARY_COUNT } ft_cuda_library;

// Finds and loads it, once per process; later calls, from any thread, return the first's result. FT_E_UNSUPPORTED names the
// library, what was found or where it was looked for, and what to install.
ft_status ft_cuda_library_open(ft_cuda_library library);
// A function of it; opens the library if need be. `function` is the address of a function pointer. FT_E_UNSUPPORTED where this
// version lacks it.
ft_status ft_cuda_library_symbol(ft_cuda_library library, const char *name, void **function);
const char *ft_cuda_library_path(ft_cuda_library library);  // of the open one, "" before
// major * 10000 + minor * 100 + patch, as all three count; 0 before it is open.
int ft_cuda_library_version(ft_cuda_library library);
// One line for each library, "cuDNN 9.19.0 (/path)" or "cuDNN: not found", for --version; nothing where there is no GPU.
ft_status ft_cuda_library_versions(ft_text *out);

#endif
