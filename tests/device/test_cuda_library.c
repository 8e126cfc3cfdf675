// Libraries found at run time: the newest cuDNN wins, what is asked for wins over it, too old is passed over and named. A
// library is found once per process, so each case is a process of its own with the folders that the case needs.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#ifdef FT_HAVE_CUDA
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "device/cuda_library.h"

// FAKE_OLD and FAKE_NEW, given by the build: libraries that say they are 1.2.3 and 99.98.97.
static char root[] = "/tmp/ft-cuda-library-XXXXXX";

static void put(const char *library, const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, folder);
    assert_int_equal(ft_make_directories(path), FT_OK);
    snprintf(path, sizeof path, "%s/%s/%s", root, folder, name);
    assert_int_equal(symlink(library, path), 0);
}

static int make_folders(void **state)
{
    if (mkdtemp(root) == NULL) return -1;
    put(FAKE_OLD, "old", "libcudnn.so.9");
    put(FAKE_OLD, "old", "libnccl.so.2");
    put(FAKE_NEW, "new", "libcudnn.so.9");
    put(FAKE_NEW, "new", "libnccl.so.2");
    put(FAKE_NEW, "venv/lib/python3.12/site-packages/nvidia/cudnn/lib", "libcudnn.so.9");
    return 0;
}

static int remove_folders(void **state)
{
    return ft_remove_tree(root);
}

static void set_folder(const char *variable, const char *folder)
{
    char value[256];
    snprintf(value, sizeof value, "%s/%s", root, folder);
    setenv(variable, value, 1);
}

// Runs a case in a child, which exits with 0 where all it expects holds.
static void in_child(int (*body)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        unsetenv("FT_CUDA_LIBRARY_PATH");
        unsetenv("LD_LIBRARY_PATH");
        unsetenv("VIRTUAL_ENV");
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool lies_in(ft_cuda_library library, const char *folder)
{
    char begin[256];
    snprintf(begin, sizeof begin, "%s/%s/", root, folder);
    return strncmp(ft_cuda_library_path(library), begin, strlen(begin)) == 0;
}

static int asked_for(void)
{
    set_folder("FT_CUDA_LIBRARY_PATH", "new");
    if (ft_cuda_library_version(FT_LIBRARY_CUDNN) != 0 || ft_cuda_library_path(FT_LIBRARY_CUDNN)[0] != '\0') return 1;
    if (ft_cuda_library_open(FT_LIBRARY_CUDNN) != FT_OK || !lies_in(FT_LIBRARY_CUDNN, "new")) return 2;
    return ft_cuda_library_version(FT_LIBRARY_CUDNN) == 999897 ? 0 : 3;
}

static int old_passed_over(void)
{
    set_folder("FT_CUDA_LIBRARY_PATH", "old");
    set_folder("LD_LIBRARY_PATH", "new");
    if (ft_cuda_library_open(FT_LIBRARY_NCCL) != FT_OK || !lies_in(FT_LIBRARY_NCCL, "new")) return 1;
    return ft_cuda_library_version(FT_LIBRARY_NCCL) == 999897 ? 0 : 2;
}

// The old one is met first, the new one lies where pip puts it.
static int newest_of_several(void)
{
    set_folder("LD_LIBRARY_PATH", "old");
    set_folder("VIRTUAL_ENV", "venv");
    if (ft_cuda_library_open(FT_LIBRARY_CUDNN) != FT_OK) return 1;
    return ft_cuda_library_version(FT_LIBRARY_CUDNN) >= 91501 && !lies_in(FT_LIBRARY_CUDNN, "old") ? 0 : 2;
}

static int symbols(void)
{
    size_t (*version)(void) = NULL;
    void *none;
    set_folder("FT_CUDA_LIBRARY_PATH", "new");
    if (ft_cuda_library_symbol(FT_LIBRARY_CUDNN, "cudnnGetVersion", (void **)&version) != FT_OK || version() != 999897) return 1;
    if (ft_cuda_library_symbol(FT_LIBRARY_CUDNN, "cudnnNone", &none) != FT_E_UNSUPPORTED) return 2;
    return strstr(ft_error_message(), "cuDNN 99.98.97") != NULL && strstr(ft_error_message(), "cudnnNone") != NULL ? 0 : 3;
}

static void a_library_asked_for_is_taken(void **state)
{
    in_child(asked_for);
}

static void one_that_is_too_old_is_passed_over(void **state)
{
    in_child(old_passed_over);
}

static void the_newest_cudnn_of_several_is_taken(void **state)
{
    in_child(newest_of_several);
}

static void a_function_it_lacks_is_named(void **state)
{
    in_child(symbols);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_library_asked_for_is_taken),
        cmocka_unit_test(one_that_is_too_old_is_passed_over),
        cmocka_unit_test(the_newest_cudnn_of_several_is_taken),
        cmocka_unit_test(a_function_it_lacks_is_named),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
#else
int main(void)
{
    return 77;
}
#endif
