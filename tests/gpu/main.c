#include "gpu/gpu_tests.h"

int main(int argc, char **argv)
{
    return gpu_tests_main(argc, argv);
}
