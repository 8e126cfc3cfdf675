#include <stdlib.h>

#include "common/file.h"
#include "gpu/gpu_tests.h"

// What this user has measured is neither read nor written.
int main(int argc, char **argv)
{
    char config[] = "/tmp/ft-gpu-tests-XXXXXX";
    if (mkdtemp(config) == NULL) return 1;
    setenv("XDG_CONFIG_HOME", config, 1);
    unsetenv("FT_MACHINE");
    unsetenv("FT_GEMM_TABLE");
    int result = gpu_tests_main(argc, argv);
    ft_remove_tree(config);
    return result;
}
