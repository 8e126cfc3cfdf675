#include "device/cuda_library.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "device/cuda_search.h"

// Libraries of a toolkit newer than the runtime may want a newer driver than it does.
#if CUDART_VERSION >= 13000
#define TOOLKIT ".so.13"
#else
#define TOOLKIT ".so.12"
#endif

// How a library is called, what it must be, how it says what it is, and what it loads by name later.
typedef struct {
    const char *name, *install;
    const char *files[3];      // names, the preferred first; ends with NULL
    int oldest;
    bool newest_wins;
    int (*version)(void *handle);
    const char *parts[6];      // of the same folder, in the order in which they need each other
} description;

static int version_by_return(void *handle, const char *function)
{
    size_t (*version)(void);
    *(void **)&version = dlsym(handle, function);
    return version != NULL ? (int)version() : 0;
}

static int cublaslt_version(void *handle)
{
    return version_by_return(handle, "cublasLtGetVersion");
}

static int cudnn_version(void *handle)
{
    return version_by_return(handle, "cudnnGetVersion");
}

static int nccl_version(void *handle)
{
    int (*version)(int *), told = 0;
    *(void **)&version = dlsym(handle, "ncclGetVersion");
    return version != NULL && version(&told) == 0 ? told : 0;
}

static const description descriptions[FT_LIBRARY_COUNT] = {
    [FT_LIBRARY_CUBLASLT] = {.name = "cuBLASLt", .install = "CUDA 12.9 or newer, or pip's nvidia-cublas", .files = {"libcublasLt" TOOLKIT, "libcublasLt.so.12"},
                             .oldest = 120900, .version = cublaslt_version},
    [FT_LIBRARY_CUDNN] = {.name = "cuDNN", .install = "cuDNN 9.15.1 or newer, for instance pip's nvidia-cudnn-cu13", .files = {"libcudnn.so.9"},
                          .oldest = 91501, .newest_wins = true, .version = cudnn_version,
                          .parts = {"libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_engines_runtime_compiled.so.9",
                                    "libcudnn_engines_precompiled.so.9", "libcudnn_heuristic.so.9"}},
    [FT_LIBRARY_NCCL] = {.name = "NCCL", .install = "libnccl2, or pip's nvidia-nccl-cu13", .files = {"libnccl.so.2"}, .oldest = 21800,
                         .version = nccl_version},
};

// One per library; `lock` guards the first opening, after which nothing changes.
typedef struct {
    pthread_mutex_t lock;
    bool tried;
    ft_status status;
    char message[FT_ERROR_MESSAGE_BYTES];  // of a failure
    void *handle;
    int version;
    char path[FT_CUDA_PATH_BYTES];
} state;

static state states[FT_LIBRARY_COUNT] = {
    {.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}};

static char *version_text(char text[24], int version)
{
    snprintf(text, 24, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    return text;
}

// Puts those asked for first, then the newest; where nothing tells the version it counts as just new enough.
static int rank(const ft_cuda_file *file, int oldest)
{
    return file->asked_for ? 1 << 30 : file->version == 0 ? oldest : file->version;
}

static void sort_newest(ft_cuda_files *files, int oldest)
{
    for (int i = 0; i < files->n; i++) files->file[i].version = ft_cuda_file_version(files->file[i].path);
    for (int i = 1; i < files->n; i++) {  // stable: equals stay in the order of the places
        ft_cuda_file moved = files->file[i];
        int k = i;
        for (; k > 0 && rank(&files->file[k - 1], oldest) < rank(&moved, oldest); k--) files->file[k] = files->file[k - 1];
        files->file[k] = moved;
    }
}

// A library that loads its parts by name would find another version's where LD_LIBRARY_PATH says so; a part that is loaded
// already is found first.
static void load_parts(const description *d, const char *path)
{
    for (int i = 0; d->parts[i] != NULL; i++) {
        char part[FT_CUDA_PATH_BYTES + 64];
        snprintf(part, sizeof part, "%.*s%s", (int)(ft_path_base(path) - path), path, d->parts[i]);
        if (ft_path_exists(part)) dlopen(part, RTLD_LAZY | RTLD_LOCAL);
    }
}

static void load_builtins(const char *nvrtc)
{
    char pattern[FT_CUDA_PATH_BYTES + 64];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%.*slibnvrtc-builtins.so.*", (int)(ft_path_base(nvrtc) - nvrtc), nvrtc);
    if (glob(pattern, 0, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc; i++) dlopen(found.gl_pathv[i], RTLD_LAZY | RTLD_LOCAL);
    globfree(&found);
}

// cuDNN compiles attention with the run-time compiler, which it loads by name.
static void load_compiler(ft_cuda_files *files)
{
    files->n = 0;
    ft_cuda_search(files, "libnvrtc" TOOLKIT);
    for (int i = 0; i < files->n; i++) {
        if (dlopen(files->file[i].path, RTLD_LAZY | RTLD_LOCAL) == NULL) continue;
        load_builtins(files->file[i].path);
        return;
    }
}

// Loads a candidate and keeps it if it is new enough. `seen` gets what was found otherwise.
static bool try_file(const description *d, state *s, const char *path, ft_text *seen)
{
    char version[24];
    if (d->parts[0] != NULL) load_parts(d, path);
    void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL) {
        if (strchr(path, '/') != NULL) ft_text_printf(seen, "; %s", dlerror());
        return false;
    }
    s->version = d->version(handle);
    if (s->version < d->oldest) {
        ft_text_printf(seen, "; %s is %s", path, version_text(version, s->version));
        dlclose(handle);
        return false;
    }
    s->handle = handle;
    snprintf(s->path, sizeof s->path, "%s", path);
    return true;
}

static ft_status not_found(const description *d, ft_text *seen)
{
    char version[24];
    ft_text places = {0};
    ft_status status = ft_cuda_search_places(&places);
    if (status == FT_OK) {
        status = ft_error(FT_E_UNSUPPORTED, "%s %s or newer was not found%s. Install %s, or name its folder in FT_CUDA_LIBRARY_PATH. Looked in %s",
                          d->name, version_text(version, d->oldest), seen->data != NULL ? seen->data : "", d->install, places.data);
    }
    ft_text_free(&places);
    return status;
}

static ft_status find(const description *d, state *s, ft_cuda_files *files)
{
    ft_text seen = {0};
    bool found = false;
    for (int i = 0; d->files[i] != NULL; i++) ft_cuda_search(files, d->files[i]);
    if (d->newest_wins) sort_newest(files, d->oldest);
    for (int i = 0; i < files->n && !found; i++) found = try_file(d, s, files->file[i].path, &seen);
    ft_status status = found ? FT_OK : not_found(d, &seen);
    if (found && d->parts[0] != NULL) load_compiler(files);
    ft_text_free(&seen);
    return status;
}

static ft_status first_open(ft_cuda_library library, state *s)
{
    ft_cuda_files *files = FT_NEW(ft_cuda_files);
    FT_ALLOC_CHECK(files);
    ft_status status = find(&descriptions[library], s, files);
    ft_free(files);
    return status;
}

ft_status ft_cuda_library_open(ft_cuda_library library)
{
    state *s = &states[library];
    pthread_mutex_lock(&s->lock);
    bool first = !s->tried;
    if (first) {
        s->status = first_open(library, s);
        if (s->status != FT_OK) snprintf(s->message, sizeof s->message, "%s", ft_error_message());
        s->tried = true;
    }
    pthread_mutex_unlock(&s->lock);
    return s->status == FT_OK || first ? s->status : ft_error_adopt(s->status, s->message);
}

ft_status ft_cuda_library_symbol(ft_cuda_library library, const char *name, void **function)
{
    char version[24];
    FT_TRY(ft_cuda_library_open(library));
    *function = dlsym(states[library].handle, name);
    if (*function != NULL) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s %s (%s) has no %s", descriptions[library].name, version_text(version, states[library].version),
                    states[library].path, name);
}

const char *ft_cuda_library_path(ft_cuda_library library)
{
    return states[library].path;
}

int ft_cuda_library_version(ft_cuda_library library)
{
    return states[library].handle != NULL ? states[library].version : 0;
}

ft_status ft_cuda_library_versions(ft_text *out)
{
    int devices = 0;
    char version[24];
    if (cudaGetDeviceCount(&devices) != cudaSuccess) cudaGetLastError();
    for (int i = 0; i < FT_LIBRARY_COUNT && devices > 0; i++) {
        if (ft_cuda_library_open((ft_cuda_library)i) != FT_OK) FT_TRY(ft_text_printf(out, "%s: not found\n", descriptions[i].name));
        else FT_TRY(ft_text_printf(out, "%s %s (%s)\n", descriptions[i].name, version_text(version, states[i].version), states[i].path));
    }
    return FT_OK;
}
