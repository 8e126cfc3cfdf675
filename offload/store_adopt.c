// A store that was made from a directory, or from another commit with the same weights, learns that they are those of a commit: a
// run that has nothing but this commit's snapshot finds it then.
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "offload/store_hub.h"

static ft_status check_same(const ft_store_build *build, const ft_manifest *manifest)
{
    char command[FT_STORE_COMMAND_TEXT];
    const ft_store_file *differs = ft_manifest_difference(manifest, &build->source);
    if (differs == NULL) return FT_OK;
    return ft_error(FT_E_INPUT, "base store %s was made from %s, whose %s is not that of %s: run `%s`, then prepare again", manifest->id,
                    manifest->source, differs->name, build->source.directory, ft_store_remove_command(&build->directories, command));
}

static ft_status rewrite(ft_store_build *build, int d)
{
    ft_manifest *manifest = &build->parts.manifest[d];
    FT_TRY(ft_manifest_take_hub(manifest, build->source.listing, build->source.revision));
    char *path = ft_path_join(build->directories.item[d].final, FT_STORE_MANIFEST);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_manifest_write(manifest, path);
    ft_free(path);
    return status;
}

// Every part has a manifest of its own, which stays valid whatever the others say of the hub: a crash between them is harmless.
ft_status ft_store_adopt(ft_store_build *build)
{
    for (int d = 0; d < build->directories.n; d++) {
        const ft_manifest *manifest = &build->parts.manifest[d];
        FT_TRY(check_same(build, manifest));
        if (manifest->hub.commit != NULL && strcmp(manifest->hub.commit, build->source.listing->commit) == 0) continue;
        FT_TRY(rewrite(build, d));
    }
    return FT_OK;
}
