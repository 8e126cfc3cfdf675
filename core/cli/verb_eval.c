// ft-single eval: loss and perplexity of a model, with or without an adapter.
#include <math.h>
#include <stdio.h>

#include "cli/evaluate.h"
#include "cli/verbs.h"

static const ft_flag flags[] = {
    {"adapter", FT_FLAG_TEXT, "DIR", "evaluate with this adapter (or checkpoint)", 0, 0},
    {"logits", FT_FLAG_TEXT, "FILE.safetensors", "also write the logits of the first sample", 0, 0},
    {NULL},
};

static ft_status run(ft_invocation *in)
{
    ft_evaluation result;
    FT_TRY(ft_evaluate(&in->settings, ft_args_text(in, "adapter"), ft_args_text(in, "logits"), &result));
    printf("eval loss %.6f, perplexity %.4f, %lld tokens\n", result.loss, exp(result.loss), (long long)result.tokens);
    return FT_OK;
}

const ft_verb ft_verb_eval = {"eval", "evaluate", "[CONFIG.yaml] [--model DIR --data FILE] --nvme DIR [--adapter DIR] [--logits FILE]",
                              "loss and perplexity on --data, or on what a config sets aside for evaluation", flags, true, run, 0};
