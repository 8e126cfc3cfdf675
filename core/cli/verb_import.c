// ft-single import: a GGUF file as a model directory.
#include <stdio.h>
#include <string.h>

#include "cli/signals.h"
#include "cli/verbs.h"
#include "common/log.h"
#include "common/threads.h"
#include "import/import.h"

static const ft_flag flags[] = {
    {"output", FT_FLAG_TEXT, "DIR", "model directory to be made", 0, 0},
    {"dtype", FT_FLAG_TEXT, "bf16|f16|f32", "what weights are written as, rounded to nearest even (default bf16)", 0, 0},
    {"shard-size", FT_FLAG_BYTES, "BYTES", "largest safetensors file (default 5 GB)", 1 << 20, 0},
    {"overwrite", FT_FLAG_SWITCH, NULL, "replace an existing model directory", 0, 0},
    {NULL},
};

static ft_status dtype_of(const char *text, ft_dtype *dtype)
{
    *dtype = FT_DTYPE_BF16;
    if (text == NULL || strcmp(text, "bf16") == 0) return FT_OK;
    if (strcmp(text, "f16") != 0 && strcmp(text, "f32") != 0) return ft_error(FT_E_USAGE, "--dtype %s: bf16, f16 or f32", text);
    *dtype = strcmp(text, "f16") == 0 ? FT_DTYPE_F16 : FT_DTYPE_F32;
    return FT_OK;
}

static ft_status run(ft_invocation *in)
{
    if (in->positional.n != 1 || !ft_args_given(in, "output")) return ft_error(FT_E_USAGE, "import: give one FILE.gguf and --output DIR");
    ft_import_options options = {.input = in->positional.items[0], .output = ft_args_text(in, "output"),
                                 .shard_bytes = ft_args_int(in, "shard-size", 0), .overwrite = ft_args_given(in, "overwrite"),
                                 .stop = &ft_stop_requested};
    FT_TRY(dtype_of(ft_args_text(in, "dtype"), &options.dtype));
    FT_TRY(ft_threads_init(0));
    ft_info("weights are written as %s%s", ft_dtype_name(options.dtype),
            options.dtype == FT_DTYPE_F32 ? "" : ": values that are not exact in it are rounded to nearest even");
    ft_import_result result;
    FT_TRY(ft_import(&options, &result));
    printf("%s: %s, %lld tensors, %lld parameters, %lld bytes; tokenizer with %lld tokens\n", options.output, result.architecture,
           (long long)result.tensors, (long long)result.parameters, (long long)result.bytes, (long long)result.vocab);
    return FT_OK;
}

const ft_verb ft_verb_import = {"import", NULL, "FILE.gguf --output DIR [--dtype bf16|f16|f32] [--overwrite]",
                                "turn a GGUF file into a model directory", flags, false, run, 1};
