// Whether vLLM, PEFT and transformers would load what a run leaves, without any of them: their rules, one by one.
//
// A subject is an adapter directory (`adapter/` and every checkpoint) or a model directory (what `merge` wrote, or any base). Its
// rules stand in tables, one row each, with the source file that makes the rule: serve_check_config.c (adapter_config.json),
// serve_check_tensors.c (adapter_model.safetensors), serve_check_base.c (against the base model) and serve_check_model.c (a whole
// model). Read against vLLM 0.33 and PEFT 0.21. Nothing is written. One thread; the caller owns the report.
#ifndef FT_TRAIN_SERVE_CHECK_H
#define FT_TRAIN_SERVE_CHECK_H

#include "common/text.h"

typedef enum {
    FT_SERVE_OK,
    FT_SERVE_NOTE,       // it loads; the message says what else to know
    FT_SERVE_FAIL,       // it would not load, or would compute something else
    FT_SERVE_UNCHECKED,  // what the rule is about could not be read
} ft_serve_verdict;

#define FT_SERVE_MESSAGE 768

typedef struct {
    const char *rule;       // "max-lora-rank": the name of its row
    const char *source;     // "vLLM lora/peft_helper.py"
    ft_serve_verdict verdict;
    char message[FT_SERVE_MESSAGE];
    char remedy[FT_SERVE_MESSAGE / 2];  // "" if there is nothing to do
} ft_serve_finding;

typedef struct {
    const char *directory;  // of the subject
    const char *base;       // an adapter's base model, directory or hub id; NULL = what its config names
    int64_t max_lora_rank;  // of the server the adapter is for; 0 = whatever it needs
} ft_serve_options;

typedef struct {
    bool adapter;           // else a model
    char *directory, *base; // heap; base: what a server is to be given, a hub id or a path, NULL = not known
    int64_t rank;           // largest of the adapter's, 0 = not known
    ft_serve_finding *findings;
    int n_findings;
} ft_serve_report;

// Runs every rule. FT_OK however they come out; FT_E_NOT_FOUND if the directory is neither kind of subject.
ft_status ft_serve_check(const ft_serve_options *options, ft_serve_report *report);
void ft_serve_report_free(ft_serve_report *report);
int ft_serve_count(const ft_serve_report *report, ft_serve_verdict verdict);
const char *ft_serve_verdict_name(ft_serve_verdict verdict);  // "ok", "note", "FAIL", "-"

// --- The commands that serve it (serve_check_commands.c) ---------------------------------------------------------------------
#define FT_SERVE_MAX_RANK 512
// The smallest --max-lora-rank that vLLM has for rank r; 0 if it has none.
int64_t ft_serve_lora_rank(int64_t r);
// What a server is to call it: the directory's name, or its parent's for `adapter` and `checkpoint-N`. Heap.
char *ft_serve_name(const char *directory);
// `vllm serve ...` on one line, without an end of line. An adapter has `base` and a rank, a model neither (NULL, 0).
ft_status ft_serve_command(ft_text *out, const char *directory, const char *name, const char *base, int64_t rank);
// Python that loads it with transformers (and PEFT) and generates.
ft_status ft_serve_python(ft_text *out, const char *directory, const char *base);

#endif
