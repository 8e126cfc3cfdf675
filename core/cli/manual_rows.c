#include "cli/manual_rows.h"

#include <string.h>

const ft_manual_program ft_manual_programs[] = {
    {"ft-single", "fine-tune language models that do not fit", "VERB [ARGUMENT ...] [--FLAG ...]",
     "Trains LoRA adapters on a frozen base that lives on NVMe drives, in host memory or on the device, wherever a plan puts it, and "
     "streams to the compute just in time. A flag is spelled --KEY VALUE, --KEY=VALUE or --set KEY=VALUE; dashes and underscores are "
     "alike, and -- ends the flags. Results go to standard output, progress and errors to standard error; an error is one line.",
     true},
    {"ft-bench", "measure what a run of ft-single is limited by", "PROBE [ARGUMENT ...] [--FLAG ...]",
     "Measures drives, links, products and whole steps, each beside its limit. What ft-bench calibrate and ft-bench offload --tune "
     "find is kept for the runs of this user: plans are made with it.",
     false},
    {0},
};

const ft_manual_verb ft_manual_verbs[] = {
    {"ft-single", "train",
     "The output directory gets adapter (PEFT format), checkpoint-N, metrics.jsonl, config.resolved.yaml (every value with where it "
     "came from) and plan.json. SIGINT and SIGTERM drop the running step, commit the last finished one and end the run; --resume "
     "continues it to the same bits.",
     {{"ft-single train --nvme /scratch", "Runs the bundled demo, its layers streaming from a drive:"},
      {"ft-single train --model DIR --data FILE --nvme /scratch", "Every choice that is not made has a default, which is printed:"},
      {"ft-single train --output DIR --resume", "Continues a stopped run with the config it left:"}}},
    {"ft-single", "plan",
     "Needs neither the weights nor a GPU. With a machine file the plan is for that machine; ft-bench calibrate measures the rates of "
     "this one.",
     {{"ft-single plan config.yaml", "What a run would do on this machine, and what became of every key of the file:"},
      {"ft-single plan --model DIR --machine machine.yaml --json", "For another machine, as JSON:"}}},
    {"ft-single", "info", NULL, {{"ft-single info DIR --json", "Shape, parameters and bytes of a model:"}}},
    {"ft-single", "download",
     "Files go into the Hugging Face cache, where every verb finds them by the repository's name, and are checked against the hub's "
     "hashes. A gated repository needs a token in HF_TOKEN.",
     {{"ft-single download Qwen/Qwen3-8B", "What training reads of a model:"},
      {"ft-single download Qwen/Qwen3-8B --dry-run", "How much that is:"}}},
    {"ft-single", "prepare", "train does so by itself where it finds no store.",
     {{"ft-single prepare DIR --nvme /scratch,/scratch2", "Makes the FP8 store of a model, striped over two drives:"}}},
    {"ft-single", "store", NULL,
     {{"ft-single store list --nvme /scratch", "What is on a drive:"}, {"ft-single store remove ID --nvme /scratch", "Removes one store:"}}},
    {"ft-single", "verify", NULL, {{"ft-single verify OUTPUT/adapter", "Checks an adapter, a checkpoint or a store:"}}},
    {"ft-single", "data", NULL,
     {{"ft-single data config.yaml", "The first samples of a run, coloured by what is trained:"},
      {"ft-single data config.yaml --html page.html", "The same and more as a page:"}}},
    {"ft-single", "eval", NULL,
     {{"ft-single eval --model DIR --adapter OUTPUT/adapter --data FILE --nvme /scratch", "Loss of an adapter on other data:"}}},
    {"ft-single", "generate", NULL,
     {{"ft-single generate --model DIR --adapter OUTPUT/adapter --nvme /scratch --chat", "A conversation with the fine-tuned model:"}}},
    {"ft-single", "merge", NULL,
     {{"ft-single merge --model DIR --adapter OUTPUT/adapter --output MERGED", "A model that needs no adapter:"}}},
    {"ft-single", "import", NULL, {{"ft-single import model.gguf --output DIR", "A GGUF file becomes a model directory:"}}},
    {"ft-single", "serve-check", NULL, {{"ft-single serve-check OUTPUT/adapter --model DIR", "Before an adapter is handed to a server:"}}},
    {"ft-single", "report", NULL,
     {{"ft-single report OUTPUT", "What a run did:"}, {"ft-single report RUN-1 RUN-2 --html page.html", "Two runs side by side, as a page:"}}},
    {"ft-single", "doctor",
     "A row a check: ok, note (costs speed) or FAIL (a run would fail), with what to do below it. The exit status is 2 where any row is "
     "FAIL. With the arguments of a run it looks at that run.",
     {{"ft-single doctor --nvme /scratch", "What this machine and its drive have and lack:"},
      {"ft-single doctor config.yaml --nvme /scratch --hostfile hosts", "Every host of a file, for one run:"}}},
    {"ft-single", "completion", "It completes verbs, flags, config keys and the values that a flag or key can have.",
     {{"source <(ft-single completion bash)", "Completion in this bash; with fish, ft-single completion fish | source:"}}},
    {"ft-bench", "io", NULL, {{"ft-bench io --nvme /scratch", "How fast a drive is read:"}}},
    {"ft-bench", "offload", NULL,
     {{"ft-bench offload --nvme /scratch --tune", "Finds sizes and depths of transfers for this machine and keeps them:"}}},
    {"ft-bench", "step", NULL, {{"ft-bench step --geometry llama3-8b --layers 4", "Steps of four layers of an 8B model:"}}},
    {"ft-bench", "gemm", NULL, {{"ft-bench gemm --shape 8192x4096x4096 --compute fp8", "One product on the GPU:"}}},
    {"ft-bench", "attention", NULL, {{"ft-bench attention --geometry llama3-8b --sequence-len 4096", "Attention of one layer:"}}},
    {"ft-bench", "ops", NULL, {{"ft-bench ops --geometry llama3-8b", "Ops that memory bounds:"}}},
    {"ft-bench", "calibrate", NULL, {{"ft-bench calibrate --model DIR --nvme /scratch", "Measures this machine for the plans of a model:"}}},
    {"ft-bench", "model", NULL, {{"ft-bench model --output DIR --hidden 256 --layers 4", "A small random model:"}}},
    {"ft-bench", "table", NULL, {{"ft-bench table bench/results/*.json", "Result files as tables:"}}},
    {"ft-bench", "completion", NULL, {{"source <(ft-bench completion bash)", "Completion in this bash:"}}},
    {0},
};

const ft_manual_row ft_manual_environment[] = {
    {"FT_CONFIGS", "directory of the bundled configs, in place of the one beside the program"},
    {"FT_THREADS", "CPU threads, where the key threads is not set"},
    {"FT_LOG", "error, warning, info (default) or debug"},
    {"NO_COLOR", "set to anything: no colours"},
    {"FT_MACHINE", "file with the measured rates of this machine, in place of the one of ft-bench calibrate"},
    {"FT_GEMM_TABLE", "file with the best algorithms of products, in place of the one of ft-bench calibrate"},
    {"FT_CUDA_LIBRARY_PATH", "folders where cuBLASLt, cuDNN and NCCL are looked for first, with colons between them"},
    {"HF_HUB_CACHE, HF_HOME", "where downloaded models and data sets lie; default ~/.cache/huggingface/hub"},
    {"HF_ENDPOINT, HF_TOKEN", "hub to download from (default https://huggingface.co), and the token for it"},
    {"HF_HUB_OFFLINE", "1: nothing is downloaded"},
    {"TMPDIR", "directory for temporary files; default /tmp"},
    {0},
};

const ft_manual_row ft_manual_files[] = {
    {"PREFIX/share/ft-single/configs", "recipes, machine files and the demo; PREFIX is the parent of the program's own directory"},
    {"~/.config/ft-single", "what ft-bench calibrate and ft-bench offload --tune measured; XDG_CONFIG_HOME moves it"},
    {"DIR/ft-store", "stores of models, in each directory of --nvme; ft-single store lists and removes them"},
    {0},
};

const ft_manual_row ft_manual_exit_codes[] = {
    {"0", "done"},
    {"1", "failed while running"},
    {"2", "a mistake in usage, config or input, or something that is not supported"},
    {"3", "stopped by a signal; what was finished is committed"},
    {0},
};

const char *const ft_manual_config_rules[] = {
    "A run is described by a YAML file, by flags, or by both; a flag overrides the file. lora_r: 32 in a file is --lora-r 32, "
    "--lora_r=32 or --set lora_r=32 on the command line. Names follow Axolotl's, so that its files can be used as they are; ft-single "
    "plan lists what became of every key. An unknown key is an error.",
    "$NAME and ${NAME} are replaced by the environment; an unset one is an error, $$ is a plain $. Relative paths in a file are "
    "relative to the file. Sizes are bytes, or numbers with K, M, G or T (1024^n). Lists are YAML lists, or one value with commas.",
    "A blank value leaves the default. The one exception is adapter: in a file, a missing or blank one asks for full fine-tuning.",
    0,
};

const ft_manual_program *ft_manual_program_find(const char *name)
{
    for (const ft_manual_program *row = ft_manual_programs; row->name; row++)
        if (strcmp(row->name, name) == 0) return row;
    return NULL;
}

const ft_manual_verb *ft_manual_verb_find(const char *program, const char *verb)
{
    for (const ft_manual_verb *row = ft_manual_verbs; row->verb; row++)
        if (strcmp(row->program, program) == 0 && strcmp(row->verb, verb) == 0) return row;
    return NULL;
}
