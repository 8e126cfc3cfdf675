// Mistakes in a run's settings that cost nothing to find.
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/engine.h"
#include "train/trainer.h"

// A fault engine counts what it does, so it is not opened for a look.
static ft_status check_engine(const char *name)
{
    ft_io_engine *engine;
    if (strncmp(name, "fault:", strlen("fault:")) == 0) return FT_OK;
    FT_TRY(ft_io_engine_open(&engine, name, &(ft_io_options){.depth = 1}));
    engine->row->close(engine);
    return FT_OK;
}

// The last component is made when the store is; a longer path that is not there is a typing error.
static ft_status check_drive(const char *directory)
{
    if (ft_path_is_directory(directory)) return FT_OK;
    if (ft_path_exists(directory)) return ft_error(FT_E_INPUT, "--nvme %s is not a directory", directory);
    char *parent = ft_path_parent(directory);
    FT_ALLOC_CHECK(parent);
    ft_status status = ft_path_is_directory(parent)
                           ? FT_OK
                           : ft_error(FT_E_NOT_FOUND, "--nvme %s: there is no directory %s to make it in; mount the drive or correct the path", directory, parent);
    ft_free(parent);
    return status;
}

ft_status ft_session_check(const ft_config *config)
{
    unsigned targets;
    if (config->machine) return ft_error(FT_E_USAGE, "machine: %s: only `ft-single plan` plans for another machine; leave it out", config->machine);
    if (config->nvme.n == 0) return ft_error(FT_E_USAGE, "no drive: give --nvme DIR[,DIR...], directories on fast disks for the base store");
    for (int i = 0; i < config->nvme.n; i++) FT_TRY(check_drive(config->nvme.items[i]));
    if (config->trace) FT_TRY(ft_path_expect_place(config->trace));
    FT_TRY(check_engine(config->io_engine));
    return ft_config_targets(config, &targets);
}
