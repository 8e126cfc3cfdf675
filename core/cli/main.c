#include "cli/program.h"
#include "cli/verbs.h"

int main(int argc, char **argv)
{
    return ft_program_main("ft-single", ft_verbs, argc, argv);
}
