// ft-single merge: the adapter folded into the weights, and proof of it.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/evaluate.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "common/log.h"
#include "io/model_output.h"
#include "offload/store.h"
#include "train/merge.h"
#include "train/trainer.h"

static const ft_flag flags[] = {
    {"adapter", FT_FLAG_TEXT, "DIR", "adapter or checkpoint to merge", 0, 0},
    {"overwrite", FT_FLAG_SWITCH, NULL, "replace an existing output directory", 0, 0},
    {"shard-size", FT_FLAG_BYTES, "BYTES", "largest safetensors file (default: split as the source)", 1 << 20, 0},
    {NULL},
};

static ft_status drop_store(const ft_string_list *nvme, const char *id)
{
    ft_status status = ft_store_remove((const char *const *)nvme->items, nvme->n, id);
    return status == FT_E_NOT_FOUND ? FT_OK : status;
}

// The merged model is looked at unquantized, through a store that is of no further use: one left by a merge that was
// interrupted is removed first, this one after.
static ft_status evaluate_merged(ft_invocation *in, const char *output, ft_evaluation *result)
{
    char id[FT_HASH_TEXT];
    FT_TRY(ft_settings_set(&in->settings, "base_model", output, "merge"));
    FT_TRY(ft_settings_set(&in->settings, "base_format", "bf16", "merge"));
    FT_TRY(ft_store_id(output, FT_BASE_BF16, id));
    FT_TRY(drop_store(&in->settings.values.nvme, id));
    FT_TRY(ft_evaluate(&in->settings, NULL, NULL, result));
    return drop_store(&in->settings.values.nvme, id);
}

static ft_status evaluate_both(ft_invocation *in, const char *output)
{
    ft_evaluation base, merged;
    if (in->settings.values.nvme.n == 0) return ft_error(FT_E_USAGE, "merge with --data evaluates both models: give --nvme DIR for their stores");
    bool quantized = strcmp(in->settings.values.base_format, "fp8") == 0;
    FT_TRY(ft_evaluate(&in->settings, ft_args_text(in, "adapter"), NULL, &base));
    FT_TRY(evaluate_merged(in, output, &merged));
    printf("eval loss: %.4f with the adapter on the %s base, %.4f merged (%lld tokens)\n", base.loss, quantized ? "quantized" : "bf16", merged.loss, (long long)base.tokens);
    return FT_OK;
}

// Before the model is downloaded; ft_merge looks again, with the model as a source.
static ft_status check_output(const ft_invocation *in, const char *adapter)
{
    const ft_output_source source = {adapter, "adapter"};
    ft_model_output output;
    ft_status status = ft_model_output_check(&output, in->settings.values.output_dir, &source, 1, ft_args_given(in, "overwrite"));
    ft_model_output_free(&output);
    return status;
}

static ft_status run(ft_invocation *in)
{
    const ft_config *config = &in->settings.values;
    const char *adapter = ft_args_text(in, "adapter");
    if (config->base_model == NULL || adapter == NULL || config->output_dir == NULL)
        return ft_error(FT_E_USAGE, "merge: give --model DIR, --adapter DIR and --output DIR");
    FT_TRY(ft_adapter_expect(adapter));
    FT_TRY(check_output(in, adapter));
    FT_TRY(ft_config_locate(&in->settings));
    ft_merge_options options = {.model = config->base_model, .adapter = adapter, .output = config->output_dir, .overwrite = ft_args_given(in, "overwrite"),
                                .shard_bytes = ft_args_int(in, "shard-size", 0), .stop = &ft_stop_requested};
    ft_merge_result result;
    FT_TRY(ft_merge(&options, &result));
    printf("%s: %lld of %lld tensors merged, largest relative change %.4f\n", config->output_dir, (long long)result.merged, (long long)result.tensors,
           result.largest_relative_change);
    return config->datasets.n > 0 ? evaluate_both(in, config->output_dir) : FT_OK;
}

const ft_verb ft_verb_merge = {"merge", NULL, "--model DIR --adapter DIR --output DIR [--data FILE --nvme DIR]",
                               "write the model with the adapter folded in", flags, true, run, 0};
