#include "cli/demo.h"

#include "cli/bundled.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"

ft_status ft_demo_directory(char **directory)
{
    char *configs;
    FT_TRY(ft_bundled_directory(&configs));
    *directory = ft_path_join(configs, "demo");
    ft_free(configs);
    return *directory ? FT_OK : FT_E_NOMEM;
}

ft_status ft_demo_run(ft_invocation *in, ft_status (*run)(ft_invocation *))
{
    char *directory, *path;
    FT_TRY(ft_demo_directory(&directory));
    path = ft_path_join(directory, "demo.yaml");
    ft_status status = path ? FT_OK : FT_E_NOMEM;
    if (status == FT_OK) {
        ft_info("no model and no data given: taking the bundled demo (%s)", path);
        status = ft_args_with_config(in, path, run);
    }
    ft_free(path);
    ft_free(directory);
    return status;
}
