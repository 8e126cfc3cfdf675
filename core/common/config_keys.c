// The table of keys. Order is the order of --help, docs/config.md and config.resolved.yaml.
//
// A row macro takes: member, aliases, ..., help; what follows the help are further fields (.excludes, .refusal). The offset
// macro checks the member's type, so a row cannot be read as something it is not.
#include "common/config_internal.h"

#define ANY FT_KEY_UNBOUNDED
#define CHANGE FT_KEY_MAY_CHANGE
#define PATH FT_KEY_PATH
#define HUB (FT_KEY_PATH | FT_KEY_HUB)

#define AT(member, ctype) (offsetof(ft_config, member) + 0 * _Generic(((ft_config *)0)->member, ctype: (size_t)0))
#define ROW(key, also, kind, ctype, about, ...) \
    .name = #key, .aliases = also, .type = FT_KEY_##kind, .offset = AT(key, ctype), .group = GROUP, .help = about, ##__VA_ARGS__

#define BOOL(key, also, value, bits, about) {ROW(key, also, BOOL, bool, about, .fallback = value, .flags = bits)}
#define NUMBER(key, also, kind, ctype, what, value, low, high, bits, about, ...) \
    {ROW(key, also, kind, ctype, about, .unit = what, .fallback = value, .minimum = low, .maximum = high, .flags = bits, \
         ##__VA_ARGS__)}
#define INT(key, also, ...) NUMBER(key, also, INT, int64_t, __VA_ARGS__)
#define REAL(key, also, ...) NUMBER(key, also, REAL, double, __VA_ARGS__)
#define BYTES(key, also, ...) NUMBER(key, also, BYTES, int64_t, "bytes", __VA_ARGS__)
#define STRING(key, also, value, bits, about) {ROW(key, also, STRING, char *, about, .fallback = value, .flags = bits)}
#define CHOICE(key, also, list, value, bits, about, ...) \
    {ROW(key, also, CHOICE, char *, about, .choices = list, .fallback = value, .flags = bits, ##__VA_ARGS__)}
#define LIST(key, also, bits, about) {ROW(key, also, LIST, ft_string_list, about, .flags = bits)}
#define DATASETS(key, also, about) {ROW(key, also, DATASETS, ft_dataset_list, about)}
#define SPECIAL(role, about)                                                                                       \
    {.name = "special_tokens." #role "_token", .aliases = "special_" #role "_token," #role "_token", .type = FT_KEY_STRING, \
     .offset = AT(special_##role##_token, char *), .group = GROUP, .help = about}
#define IGNORED(key, also, about) {.name = #key, .aliases = also, .type = FT_KEY_IGNORED, .group = GROUP, .help = about}
#define INSTEAD(key, also, list, about, done) \
    {.name = #key, .aliases = also, .type = FT_KEY_IGNORED, .choices = list, .group = GROUP, .help = about, .note = done}
#define ONLY(key, also, list, about, instead) \
    {.name = #key, .aliases = also, .type = FT_KEY_IGNORED, .choices = list, .group = GROUP, .help = about, .refusal = instead}

#define NO_4BIT "no 4-bit copy is made: LoRA trains on the frozen base in base_format, FP8 unless said otherwise"

const ft_config_key ft_config_keys[] = {
#define GROUP "Model"
    STRING(base_model, "model", NULL, HUB | CHANGE,
           "model directory (config.json, safetensors, tokenizer.json), or a hub id"),
    STRING(revision_of_model, NULL, NULL, CHANGE, "branch, tag or commit of base_model where that is a hub id; unset = main"),
    STRING(tokenizer_config, "tokenizer", NULL, HUB | CHANGE, "directory or hub id of another tokenizer; unset = base_model"),
    CHOICE(base_format, NULL, "fp8|bf16", "fp8", 0, "how linear weights are kept on drives, in memory and on the device"),
#undef GROUP

#define GROUP "Adapter"
    CHOICE(adapter, NULL, "lora~qlora|", "lora", 0,
           "lora, or blank for full fine-tuning; a file without this key asks for full fine-tuning",
           .refusal = "use adapter: lora, which here trains on a frozen FP8 base (base_format: fp8)", .note = NO_4BIT),
    INT(lora_r, "lora_rank", NULL, "16", 1, 4096, 0, "rank of the adapters"),
    REAL(lora_alpha, NULL, NULL, "32", 1e-6, 1e6, 0, "adapter output is scaled by lora_alpha / lora_r"),
    REAL(lora_dropout, NULL, NULL, "0", 0, 0.99, 0, "probability with which an input feature of an adapter is dropped"),
    BOOL(lora_target_linear, NULL, "true", 0,
         "adapters on every linear layer of the blocks; false once lora_target_modules names some"),
    LIST(lora_target_modules, NULL, 0,
         "linear layers with adapters: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"),
    BOOL(peft_use_rslora, "use_rslora", "false", 0, "scale by lora_alpha / sqrt(lora_r) instead"),
    REAL(loraplus_lr_ratio, NULL, NULL, "0", 0, 1e4, 0, "learning rate of B over that of A (LoRA+); 0 = off"),
    STRING(lora_model_dir, "init_adapter", NULL, HUB | CHANGE, "start from this PEFT adapter (directory or hub id)"),
#undef GROUP

#define GROUP "Data"
    DATASETS(datasets, "data", "training data: list of entries (see the keys of a dataset), or one or more paths"),
    DATASETS(test_datasets, "test_data", "evaluation data, in place of val_set_size"),
    REAL(val_set_size, NULL, NULL, "0", 0, ANY, 0,
         "part of the training data set aside for evaluation: a fraction below 1, else a number of samples"),
    STRING(dataset_prepared_path, NULL, NULL, PATH | CHANGE, "directory for tokenized data; unset = tokenize at every start"),
    STRING(chat_template, NULL, NULL, 0,
           "how conversations become text: llama3, llama3.1, chatml, smollm2, qwen, qwen3, mistral, mistral-v1, mistral-tekken or alpaca; "
           "unset or tokenizer_default = the model's own"),
    BOOL(train_on_inputs, NULL, "false", 0, "prompts count in the loss too"),
    LIST(roles_to_train, NULL, 0, "whose turns of a conversation count in the loss; unset = assistant"),
    BOOL(mask_history, "train_on_last_turn", "false", 0, "of a conversation only the last trained turn counts in the loss"),
    INT(source_max_len, "max_source_length", "tokens", "0", 0, 16777216, 0,
        "a longer prompt keeps its last tokens; 0 = no limit of its own"),
    INT(target_max_len, "max_target_length", "tokens", "0", 0, 16777216, 0,
        "a longer answer keeps its first tokens; 0 = no limit of its own"),
    BOOL(sample_packing, NULL, "true", 0, "several samples in one row, without attention between them"),
    BOOL(eval_sample_packing, NULL, "true", 0, "the same for evaluation data"),
    INT(sequence_len, "seq_len,max_seq_length", "tokens", "2048", 2, 16777216, 0, "slots of a row"),
    CHOICE(excess_length_strategy, NULL, "drop|truncate|split", "drop", 0,
           "samples longer than sequence_len: left out, cut off, or cut into several samples"),
    BOOL(shuffle_merged_datasets, "shuffle", "true", 0, "new order in every epoch"),
    SPECIAL(pad, "token that fills unused slots, by name"),
    SPECIAL(eos, "token that ends a turn or document, by name"),
    SPECIAL(bos, "token that begins a document, by name"),
#undef GROUP

#define GROUP "Optimisation"
    INT(micro_batch_size, NULL, "rows", "1", 1, 65536, 0, "rows a GPU computes at once"),
    INT(gradient_accumulation_steps, NULL, "micro-batches", "1", 1, 1048576, 0, "micro-batches of a GPU in an optimizer step"),
    INT(global_batch_tokens, NULL, "tokens", "0", 0, ANY, 0,
        "tokens of an optimizer step over all GPUs; decides gradient_accumulation_steps; 0 = off"),
    REAL(num_epochs, "epochs,num_train_epochs", NULL, "1", 0, 1e6, 0, "passes over the training data"),
    INT(max_steps, NULL, "steps", "0", 0, ANY, 0, "stop after this many optimizer steps; 0 = by num_epochs"),
    CHOICE(optimizer, NULL,
           "adamw_torch=adamw_torch_fused=adamw_hf=adamw=adamw_apex_fused=paged_adamw_32bit"
           "~adamw_8bit~adamw_bnb_8bit~paged_adamw_8bit~adamw_torch_8bit~adamw_torch_4bit",
           "adamw_torch", 0, "AdamW with float32 state", .note = "the moments are float32: the same update, more exact than in 8 bits",
           .refusal = "AdamW with float32 state is the one optimizer here: use optimizer: adamw_torch"),
    REAL(learning_rate, "lr", NULL, "2e-4", 0, 10, 0, "peak learning rate"),
    CHOICE(lr_scale, NULL, "none|sqrt|linear", "none", 0,
           "rule that makes learning_rate from lr_reference: times the root (or the whole) of tokens in a step over lr_reference_tokens"),
    REAL(lr_reference, NULL, NULL, "0", 0, 10, 0, "learning rate that is known to be good, for lr_scale"),
    REAL(lr_reference_tokens, NULL, "tokens", "0", 0, ANY, 0, "tokens of an optimizer step at which lr_reference is good"),
    REAL(weight_decay, NULL, NULL, "0", 0, 1e3, 0, "decoupled weight decay"),
    REAL(adam_beta1, NULL, NULL, "0.9", 0, 0.9999999, 0, "decay of the first moment"),
    REAL(adam_beta2, NULL, NULL, "0.999", 0, 0.9999999, 0, "decay of the second moment"),
    REAL(adam_epsilon, "adam_eps", NULL, "1e-8", 0, 1, 0, "added to the root of the second moment"),
    REAL(max_grad_norm, NULL, NULL, "1", 0, ANY, 0, "gradients are scaled down to this norm; 0 = off"),
    CHOICE(lr_scheduler, "lr_scheduler_type", "cosine|linear|constant=constant_with_warmup", "cosine", 0,
           "course of the learning rate after warm-up",
           .refusal = "the other schedules are not implemented"),
    REAL(cosine_min_lr_ratio, NULL, NULL, "0", 0, 1, 0, "where cosine ends, as a part of learning_rate"),
    INT(warmup_steps, NULL, "steps", "-1", -1, ANY, 0, "steps of linear warm-up; -1 = by warmup_ratio",
        .excludes = "warmup_ratio"),
    REAL(warmup_ratio, NULL, NULL, "0.03", 0, 1, 0, "part of all steps that is warm-up", .excludes = "warmup_steps"),
    INT(seed, NULL, NULL, "42", 0, 9e18, 0, "of every random choice"),
#undef GROUP

#define GROUP "Evaluation and saving"
    INT(eval_steps, NULL, "steps", "0", 0, ANY, 0, "evaluate every so many steps; 0 = by evals_per_epoch",
        .excludes = "evals_per_epoch"),
    INT(evals_per_epoch, NULL, NULL, "0", 0, ANY, 0, "evaluations in an epoch; 0 = at the end of every epoch",
        .excludes = "eval_steps"),
    INT(early_stopping_patience, NULL, "evaluations", "0", 0, ANY, 0,
        "stop after this many evaluations without a better loss; 0 = off"),
    INT(save_steps, NULL, "steps", "0", 0, ANY, CHANGE, "checkpoint every so many steps; 0 = by saves_per_epoch",
        .excludes = "saves_per_epoch"),
    INT(saves_per_epoch, NULL, NULL, "0", 0, ANY, CHANGE, "checkpoints in an epoch; 0 = by save_minutes",
        .excludes = "save_steps"),
    REAL(save_minutes, NULL, "minutes", "10", 0, 1e6, CHANGE, "checkpoint every so many minutes; 0 = only at the end"),
    INT(save_total_limit, NULL, "checkpoints", "3", 1, ANY, CHANGE, "older checkpoints are removed"),
    INT(logging_steps, NULL, "steps", "1", 1, ANY, CHANGE, "a line of log every so many steps where stderr is no terminal; metrics.jsonl has every step"),
    BOOL(use_tensorboard, "tensorboard", "true", CHANGE, "event files for TensorBoard beside metrics.jsonl"),
    STRING(output_dir, "output", NULL, PATH | CHANGE, "where adapter, checkpoints and metrics go; unset = ft-out/MODEL-N"),
#undef GROUP

#define GROUP "Machine and placement"
    LIST(nvme, NULL, PATH | CHANGE, "directories for streamed weights, one on each drive"),
    CHOICE(device, NULL, "auto|cuda|cpu", "auto", CHANGE, "what computes"),
    INT(gpus, NULL, "GPUs", "0", 0, 64, CHANGE, "GPUs of each node; 0 = all; above 1 only `plan` so far"),
    CHOICE(compute, NULL, "bf16|fp8", "bf16", 0, "arithmetic of the frozen linear layers; bf16 is the reference"),
    CHOICE(cpu_compute, NULL, "f32|bf16", "f32", 0,
           "arithmetic of the CPU device; bf16 needs AVX-512 BF16 and rounds the inputs of the frozen linear layers"),
    BOOL(deterministic, NULL, "false", 0, "equal bits on every run on CUDA, with a slower attention backward"),
    BYTES(hbm_budget, NULL, "0", 0, ANY, CHANGE, "device memory of each GPU; 0 = what is free"),
    BYTES(host_budget, NULL, "0", 0, ANY, CHANGE, "host memory of each node; 0 = what is free less room for the system"),
    BYTES(nvme_budget, NULL, "0", 0, ANY, CHANGE, "drive space in all; 0 = what is free"),
    CHOICE(base_placement, NULL, "auto|hbm|host|nvme", "auto", CHANGE, "home of the frozen layers; auto = the plan decides"),
    INT(pinned_layers_hbm, NULL, "layers", "-1", -1, 1e6, CHANGE, "layers that live on the device; -1 = the plan decides"),
    INT(pinned_layers_host, NULL, "layers", "-1", -1, 1e6, CHANGE, "layers that live in host memory; -1 = the plan decides"),
    CHOICE(activation_policy, NULL, "auto|keep|recompute", "auto", CHANGE,
           "activations inside a layer between forward and backward"),
    CHOICE(boundary_placement, NULL, "auto|hbm|host|nvme", "auto", CHANGE, "home of layer inputs between forward and backward"),
    INT(sweep_micro_batches, NULL, "micro-batches", "0", 0, 1048576, CHANGE,
        "micro-batches that pass through a loaded layer before the next; 0 = the plan decides"),
    INT(prefetch_depth, NULL, "layers", "0", 0, 4, CHANGE, "layers loaded ahead of the one that computes; 0 = the plan decides"),
    INT(head_chunk, NULL, "tokens", "1024", 1, 1048576, 0,
        "tokens whose logits exist at once; decides rounding, so it stays the same over a run"),
    INT(mlp_chunk, NULL, "tokens", "16384", 1, 1048576, 0,
        "tokens of a micro-batch that pass through the MLP at once; longer micro-batches make its activations again; decides rounding"),
    INT(verify_stripes, NULL, "stripes", "64", 0, 1048576, CHANGE,
        "stripes of streamed weights whose hash is checked again in every step, on the GPU or the host, whichever is free; 0 = first reads only"),
    STRING(trace, NULL, NULL, PATH | CHANGE, "file for a timeline of the last steps (drives, copies, computing) for Perfetto or chrome://tracing"),
    STRING(io_engine, NULL, "auto", CHANGE, "auto, io_uring, posix, null, or fault:ENGINE,... for tests"),
    INT(io_depth, NULL, "transfers", "0", 0, 4096, CHANGE, "transfers in flight on each drive; 0 = 32"),
    BYTES(io_chunk, NULL, "0", 0, 67108864, CHANGE, "largest single transfer, a multiple of 4K; 0 = 1M"),
    STRING(machine, NULL, NULL, PATH | CHANGE, "machine description that `plan` plans for; unset = this machine; refused by the other verbs"),
    INT(threads, NULL, "threads", "0", 0, 4096, CHANGE, "CPU threads; 0 = the CPUs this process may use"),
#undef GROUP

#define GROUP "Accepted for compatibility"
#include "common/config_compat.h"
#undef GROUP
};
const size_t ft_config_key_count = sizeof ft_config_keys / sizeof ft_config_keys[0];
