// Order of a save: the files, each fsynced; the manifest; everything read back and compared; then the commit (io/commit.h), which
// gives the directory its name. Until then the checkpoints before it are untouched.
#include "common/memory.h"
#include "io/commit.h"
#include "train/adapter_file.h"
#include "train/checkpoint_state.h"

static ft_status put_settings(const char *directory, const ft_settings *settings, ft_checkpoint_manifest *manifest)
{
    ft_text text = {0};
    ft_status status = ft_settings_write(settings, &text);
    if (status == FT_OK) status = ft_checkpoint_manifest_put_file(manifest, directory, "config.resolved.yaml", text.data, text.length);
    ft_text_free(&text);
    return status;
}

typedef struct {
    const ft_run_state *state;
    const ft_adapter_layout *adapter;
    const ft_shape *shape;
    const ft_settings *settings;
    const char *base_id;
    ft_adapter_array parameters, moments[2];
} contents;

static ft_status write_files(const contents *c, const char *directory, ft_checkpoint_manifest *manifest)
{
    manifest->step = c->state->step;
    FT_ALLOC_CHECK(manifest->base_id = ft_strdup(c->base_id));
    FT_TRY(ft_adapter_write(directory, FT_ADAPTER_WEIGHTS, c->adapter, c->shape, &c->parameters, 1, FT_DTYPE_F32, manifest));
    FT_TRY(ft_adapter_put_config(directory, c->adapter, c->settings->values.base_model, manifest));
    FT_TRY(ft_adapter_write(directory, "optimizer.safetensors", c->adapter, c->shape, c->moments, 2, FT_DTYPE_F32, manifest));
    FT_TRY(ft_run_state_put(c->state, directory, manifest));
    FT_TRY(put_settings(directory, c->settings, manifest));
    return ft_checkpoint_manifest_write(manifest, directory);
}

// The files against what was in memory, then everything again as a reader would see it, the manifest included.
static ft_status write_and_check(const contents *c, const char *directory)
{
    ft_checkpoint_manifest written = {0}, read;
    ft_status status = write_files(c, directory, &written);
    if (status == FT_OK) status = ft_checkpoint_manifest_read(&read, directory);
    if (status == FT_OK) ft_checkpoint_manifest_free(&read);
    if (status == FT_OK) status = ft_checkpoint_manifest_check(&written, directory);
    ft_checkpoint_manifest_free(&written);
    return status;
}

ft_status ft_checkpoint_save(const char *output, const ft_run_state *state, const ft_adapter_layout *adapter, const ft_shape *shape,
                             const ft_settings *settings, const char *base_id, const float *parameters, const float *moment1,
                             const float *moment2)
{
    const contents c = {state, adapter, shape, settings, base_id, {"", parameters}, {{"exp_avg.", moment1}, {"exp_avg_sq.", moment2}}};
    ft_commit commit;
    char *name = ft_format("checkpoint-%lld", (long long)state->step);
    FT_ALLOC_CHECK(name);
    ft_status status = ft_commit_begin(&commit, output, name);
    ft_free(name);
    FT_TRY(status);
    status = write_and_check(&c, commit.temporary);
    if (status == FT_OK) return ft_commit_finish(&commit, true);
    ft_commit_abort(&commit);
    return ft_error_prefix(status, "checkpoint of step %lld", (long long)state->step);
}
