#include "common/text.h"
#include "io/commit.h"
#include "train/adapter_file.h"
#include "train/checkpoint.h"

// vLLM allows these values of --max-lora-rank only; 16 is its default.
static int64_t serving_rank(int64_t r)
{
    static const int64_t allowed[] = {16, 32, 64, 128, 256, 320, 512};
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (r <= allowed[i]) return allowed[i];
    return r;
}

static ft_status readme_text(const ft_adapter_layout *adapter, const char *name, const char *base_model, ft_text *text)
{
    const char *base = base_model ? base_model : "the base model";
    FT_TRY(ft_text_printf(text,
                          "---\nlibrary_name: peft\n---\n# LoRA adapter\n\nTrained by ft-single on `%s`: rank %lld, alpha %g%s.\n\n",
                          base, (long long)adapter->r, adapter->alpha, adapter->rslora ? " (rank-stabilised scaling)" : ""));
    FT_TRY(ft_text_printf(
        text, "PEFT: `PeftModel.from_pretrained(model, \"%s\")`. vLLM: `--enable-lora --max-lora-rank %lld --lora-modules NAME=%s`.\n",
        name, (long long)serving_rank(adapter->r), name));
    return ft_text_printf(text, "One set of weights: `ft-single merge --model %s --adapter %s --output DIR`.\n", base, name);
}

static ft_status put_readme(const ft_commit *commit, const ft_adapter_layout *adapter, const char *base_model,
                            ft_checkpoint_manifest *manifest)
{
    ft_text text = {0};
    ft_status status = readme_text(adapter, commit->name, base_model, &text);
    if (status == FT_OK) status = ft_checkpoint_manifest_put_file(manifest, commit->temporary, "README.md", text.data, text.length);
    ft_text_free(&text);
    return status;
}

// An adapter has no manifest on disk; the one made here serves to compare the files with what was in memory.
ft_status ft_adapter_save(const char *parent, const char *name, const ft_adapter_layout *adapter, const ft_shape *shape,
                          const char *base_model, const float *parameters, ft_dtype dtype)
{
    ft_commit commit;
    ft_checkpoint_manifest manifest = {0};
    bool all_zero;
    const ft_adapter_array array = {"", parameters};
    FT_TRY(ft_commit_begin(&commit, parent, name));
    ft_status status = ft_adapter_write(commit.temporary, FT_ADAPTER_WEIGHTS, adapter, shape, &array, 1, dtype, &manifest);
    if (status == FT_OK) status = ft_adapter_put_config(commit.temporary, adapter, base_model, &manifest);
    if (status == FT_OK) status = put_readme(&commit, adapter, base_model, &manifest);
    if (status == FT_OK) status = ft_checkpoint_manifest_check(&manifest, commit.temporary);
    if (status == FT_OK) status = ft_adapter_check(commit.temporary, &all_zero);
    ft_checkpoint_manifest_free(&manifest);
    if (status == FT_OK) return ft_commit_finish(&commit, true);
    ft_commit_abort(&commit);
    return status;
}
