#include "cli/demo.h"

#include "cli/bundled.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"

ft_status ft_demo_run(ft_invocation *in, ft_status (*run)(ft_invocation *))
{
    char *configs;
    FT_TRY(ft_bundled_directory(&configs));
    char *path = ft_path_join(configs, "demo/demo.yaml");
    ft_free(configs);
    FT_ALLOC_CHECK(path);
    ft_info("no model and no data given: taking the bundled demo (%s)", path);
    ft_status status = ft_args_with_config(in, path, run);
    ft_free(path);
    return status;
}
