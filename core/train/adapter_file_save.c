#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/commit.h"
#include "train/adapter_file.h"
#include "train/checkpoint.h"
#include "train/model_card.h"

// The card of the directory that is replaced, if somebody edited it; else the new one.
static ft_status put_card(const ft_commit *commit, const char *parent, const char *card, ft_checkpoint_manifest *manifest)
{
    size_t bytes;
    char *edited, *earlier = ft_path_join(parent, commit->name);
    FT_ALLOC_CHECK(earlier);
    ft_status status = ft_model_card_edited(earlier, &edited, &bytes);
    ft_free(earlier);
    FT_TRY(status);
    if (edited) status = ft_checkpoint_manifest_put_file(manifest, commit->temporary, FT_MODEL_CARD, edited, bytes);
    else if (card) status = ft_checkpoint_manifest_put_file(manifest, commit->temporary, FT_MODEL_CARD, card, strlen(card));
    ft_free(edited);
    return status;
}

// An adapter has no manifest on disk; the one made here serves to compare the files with what was in memory.
ft_status ft_adapter_save(const char *parent, const char *name, const ft_adapter_layout *adapter, const ft_shape *shape,
                          const char *base_model, const float *parameters, ft_dtype dtype, const char *card)
{
    ft_commit commit;
    ft_checkpoint_manifest manifest = {0};
    bool all_zero;
    const ft_adapter_array array = {"", parameters};
    FT_TRY(ft_commit_begin(&commit, parent, name));
    ft_status status = ft_adapter_write(commit.temporary, FT_ADAPTER_WEIGHTS, adapter, shape, &array, 1, dtype, &manifest);
    if (status == FT_OK) status = ft_adapter_put_config(commit.temporary, adapter, base_model, &manifest);
    if (status == FT_OK) status = put_card(&commit, parent, card, &manifest);
    if (status == FT_OK) status = ft_checkpoint_manifest_check(&manifest, commit.temporary);
    if (status == FT_OK) status = ft_adapter_check(commit.temporary, &all_zero);
    ft_checkpoint_manifest_free(&manifest);
    if (status == FT_OK) return ft_commit_finish(&commit, true);
    ft_commit_abort(&commit);
    return status;
}
