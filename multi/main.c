// ft-multi: ft-single, ft-bench and the GPU tests as one file, for a machine that one file is carried to. The program is chosen
// by the name it is called under, or else by the first argument:
//   ft-multi ft-single train ...    ft-multi ft-bench step ...    ft-multi gpu-test all
#include <stdio.h>
#include <string.h>

#include "gpu/gpu_tests.h"

int ft_single_main(int argc, char **argv);  // core/cli/main.c and bench/main.c, renamed by the build
int ft_bench_main(int argc, char **argv);

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
} program;

static const program programs[] = {{"ft-single", ft_single_main}, {"ft-bench", ft_bench_main}, {"gpu-test", gpu_tests_main}};

static const program *find(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        if (strcmp(programs[i].name, name) == 0) return &programs[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const program *called = find(argv[0]);
    if (called != NULL) return called->run(argc, argv);
    called = argc > 1 ? find(argv[1]) : NULL;
    if (called != NULL) return called->run(argc - 1, argv + 1);
    fprintf(stderr, "usage: %s ft-single|ft-bench|gpu-test [arguments]\n", argv[0]);
    return 2;
}
