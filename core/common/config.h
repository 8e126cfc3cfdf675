// The configuration: one struct, one table of keys.
//
// Every key is a row of ft_config_keys (name, aliases, type, unit, default, range, help). From the rows come the YAML reader,
// the command-line flags (--KEY VALUE, `_` and `-` alike), --help, docs/config.md, did-you-mean, config.resolved.yaml and the
// check of what a resume may change. Names follow Axolotl's. Adding a key is one member and one row.
//
// A file is read first, flags are set after it: a flag overrides the file. Settings belong to one thread.
#ifndef FT_COMMON_CONFIG_H
#define FT_COMMON_CONFIG_H

#include "common/text.h"

typedef struct {
    char **items;
    int n;
} ft_string_list;

// One dataset (an entry of `datasets` or `test_datasets`). Strings are heap, NULL when not given.
typedef struct {
    char *path;
    char *revision;          // of a hub id: branch, tag or commit; NULL = main
    char *type;              // alpaca | completion | tokens | chat_template | ... ; NULL = detect
    char *split;
    char *data_files;
    char *name;
    char *chat_template;
    char *field_messages, *message_property_role, *message_property_content, *message_field_training;
    ft_string_list roles_user, roles_assistant, roles_system;  // what the data calls them; empty = the usual names
    ft_string_list roles_to_train;                             // empty = the run's
    char *train_on_eos;      // turn | all | last | none; NULL = turn
    char *field_instruction, *field_input, *field_output, *field_system, *field;
    double weight;           // 1; samples of an epoch = weight * samples: 2.5 is each twice and half of them a third time
    int64_t max_samples;     // 0 = all
    int line;                // line of the entry in the config file, 0 if from a flag
} ft_dataset_config;

typedef struct {
    ft_dataset_config *items;
    int n;
} ft_dataset_list;

typedef struct {
    // model
    char *base_model;            // directory (or hub id)
    char *revision_of_model;     // of a hub id: branch, tag or commit; NULL = main
    char *tokenizer_config;      // directory with another tokenizer; NULL = base_model
    char *base_format;           // fp8 | bf16
    // adapter
    char *adapter;               // lora; NULL or "" in a file = full fine-tuning
    int64_t lora_r;
    double lora_alpha, lora_dropout;
    bool lora_target_linear;
    ft_string_list lora_target_modules;
    bool peft_use_rslora;
    double loraplus_lr_ratio;    // 0 = off
    char *lora_model_dir;        // start from this adapter (--init-adapter)
    // data
    ft_dataset_list datasets, test_datasets;
    double val_set_size;         // fraction below 1, else number of samples
    char *dataset_prepared_path;
    char *chat_template;
    bool train_on_inputs;
    ft_string_list roles_to_train;   // empty = assistant
    bool mask_history;               // only the last trained turn of a conversation
    int64_t source_max_len, target_max_len;  // tokens of prompt and of answer, 0 = no limit of their own
    bool sample_packing, eval_sample_packing;
    int64_t sequence_len;
    char *excess_length_strategy;  // drop | truncate | split
    bool shuffle_merged_datasets;
    char *special_pad_token, *special_eos_token, *special_bos_token;  // special_tokens.{pad,eos,bos}_token
    // optimisation
    int64_t micro_batch_size, gradient_accumulation_steps, global_batch_tokens;
    double num_epochs;
    int64_t max_steps;           // 0 = by epochs
    char *optimizer;             // adamw_torch and its aliases
    double learning_rate, weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm;
    char *lr_scale;              // none | sqrt | linear
    double lr_reference, lr_reference_tokens;
    char *lr_scheduler;          // constant | linear | cosine
    double cosine_min_lr_ratio;
    int64_t warmup_steps;        // -1 = by ratio
    double warmup_ratio;
    int64_t seed;
    // evaluation and saving
    int64_t eval_steps;          // 0 = by evals_per_epoch
    int64_t evals_per_epoch;     // 0 = at the end of every epoch and at the end
    int64_t early_stopping_patience;
    int64_t save_steps;          // 0 = by saves_per_epoch
    int64_t saves_per_epoch;     // 0 = by time
    double save_minutes;         // 0 = only at the end
    int64_t save_total_limit;
    int64_t logging_steps;
    bool use_tensorboard;
    char *output_dir;
    // machine and placement (may change at a resume)
    ft_string_list nvme;         // directories
    char *device;                // auto | cuda | cpu
    int64_t gpus;
    char *compute;               // bf16 | fp8
    char *cpu_compute;           // f32 | bf16: arithmetic of the CPU device
    bool deterministic;
    int64_t hbm_budget, host_budget, nvme_budget;  // bytes, 0 = what the machine offers
    char *base_placement;        // auto | hbm | host | nvme
    int64_t pinned_layers_hbm, pinned_layers_host;  // -1 = the plan decides
    char *activation_policy;     // auto | keep | recompute
    char *boundary_placement;    // auto | hbm | host | nvme
    int64_t sweep_micro_batches; // 0 = the plan decides
    int64_t prefetch_depth;      // layers loaded ahead, 1..4
    int64_t head_chunk;          // tokens whose logits exist at once (changes nothing but rounding; part of the config)
    int64_t mlp_chunk;           // tokens of a micro-batch that pass through the MLP at once (likewise)
    int64_t verify_stripes;      // stripes checked again each step
    char *trace;                 // timeline file, NULL = none
    char *io_engine;
    int64_t io_depth, io_chunk;
    char *machine;               // machine file
    int64_t threads;
    // no key: known once the model is
    int64_t vocab;               // ids the model has, 0 = not known yet
    const char *family_template; // chat template its family uses by default, NULL = not known
    const char *geometry;        // built-in shape that stands for base_model in a plan; NULL = base_model is a directory
} ft_config;

typedef enum {
    FT_KEY_BOOL,
    FT_KEY_INT,
    FT_KEY_REAL,
    FT_KEY_BYTES,      // int64_t member; 512M, 1.5G
    FT_KEY_STRING,
    FT_KEY_CHOICE,     // char * member; `choices` holds "a|b=c~d|": c is stored as b; so is d, which asks for something else (the
                       // row's `note` says what is done); the empty last one allows a blank (NULL)
    FT_KEY_LIST,       // ft_string_list; comma-separated on the command line
    FT_KEY_DATASETS,   // ft_dataset_list; a path on the command line
    FT_KEY_IGNORED,    // accepted for compatibility; `help` says why it does nothing here. With `choices` and `refusal`, blank
                       // and these values only: anything else would change the result and is FT_E_UNSUPPORTED. With `choices`
                       // and `note`, any value, but one that is not listed is noted
} ft_key_type;

enum {
    FT_KEY_MAY_CHANGE = 1,  // a resume may change it: budgets, placement, paths, logging
    FT_KEY_PATH = 2,        // relative paths in a config file are relative to that file
    FT_KEY_HUB = 4,         // with PATH: may be a hub id, so a relative path is only resolved where it exists
};

#define FT_KEY_UNBOUNDED 1e18  // a `maximum` that is no limit

typedef struct {
    const char *name;
    const char *aliases;     // "a,b" or NULL
    ft_key_type type;
    size_t offset;           // of the member in ft_config
    const char *unit;        // "tokens", "bytes", NULL
    const char *fallback;    // default as text, NULL = unset
    double minimum, maximum; // inclusive, for numbers
    const char *choices;
    unsigned flags;
    const char *group;       // heading in --help and docs
    const char *help;
    const char *refusal;     // what to do instead, ends the error about a value not in `choices`; NULL = nothing to add
    const char *excludes;    // a key that says the same thing in another way: not both; a flag beats the file
    const char *note;        // what is done in place of values that ask for something else; see `choices`
} ft_config_key;

extern const ft_config_key ft_config_keys[];
extern const size_t ft_config_key_count;

extern const ft_config_key ft_dataset_keys[];  // keys of an entry of `datasets`; offsets are in ft_dataset_config
extern const size_t ft_dataset_key_count;

typedef enum { FT_ORIGIN_DEFAULT, FT_ORIGIN_DERIVED, FT_ORIGIN_FILE, FT_ORIGIN_FLAG } ft_origin;

// A key that the file names, or a flag with a noted value.
typedef struct {
    char *name;              // as spelled, with what it is part of: "special_tokens.pad_token", "datasets[0].ds_type"
    const ft_config_key *key;
    int line;                // of the file, 0 = a flag
    bool blank;              // no value: the default stays
    const char *note;        // the key's, where the value asks for something else; NULL = it does not
} ft_read_key;

typedef struct {
    ft_config values;
    ft_origin *origin;       // parallel to ft_config_keys
    char **source;           // parallel: "FILE:LINE", "--flag", "derived: REASON"; NULL = default
    char *file;              // config file, NULL if none
    ft_read_key *read;       // in the order of the file
    int n_read;
} ft_settings;

// Both return FT_E_NOMEM only. Strings are copied.
ft_status ft_string_list_add(ft_string_list *list, const char *text);
ft_status ft_string_list_split(ft_string_list *list, const char *text);  // appends the parts between commas, "" adds none
void ft_string_list_free(ft_string_list *list);

ft_status ft_settings_init(ft_settings *settings);  // all defaults; adapter is "lora"
void ft_settings_free(ft_settings *settings);       // also after a failed init
// Reads a YAML file. Unknown keys, wrong types, values out of range and unset $VARIABLES are FT_E_USAGE naming file, line and,
// for an unknown key, the nearest known one; keys and values that ask for something that is not implemented and would change
// the result are FT_E_UNSUPPORTED. `$$` is a literal `$`. A file without `adapter` (or with a blank one) asks for full
// fine-tuning: the member becomes NULL. Any other blank value leaves the default.
ft_status ft_settings_read(ft_settings *settings, const char *path);
// Sets one key from text; `source` is recorded ("--lora-r") and starts error messages. Name lookup treats - and _ alike and
// knows aliases. Lists are comma-separated; "" unsets a string, a list, or adapter (full fine-tuning).
ft_status ft_settings_set(ft_settings *settings, const char *key, const char *value, const char *source);
// As set, for values the program derives; the reason is printed and stands in config.resolved.yaml. It overrides whatever was
// there, and the key still counts as not given.
ft_status ft_settings_derive(ft_settings *settings, const char *key, const char *value, const char *reason);
bool ft_settings_given(const ft_settings *settings, const char *key);  // set by file or flag
const char *ft_settings_source(const ft_settings *settings, const char *key);  // "default" if nothing set it
const ft_config_key *ft_config_find(const char *name);  // by name or alias, NULL if unknown
// Nearest known name or alias, NULL if none is near. Valid until the thread's next call.
const char *ft_config_suggest(const char *name);
// The value of a key as YAML text on one line, appended; "null" if unset. Nothing for an ignored key.
ft_status ft_settings_format(const ft_settings *settings, const ft_config_key *key, ft_text *out);
// config.resolved.yaml: every key with its value and a comment saying where it came from. Reading it gives the same values;
// paths are written absolute, because a file's relative paths are relative to it.
ft_status ft_settings_write(const ft_settings *settings, ft_text *out);
// Compares with the config.resolved.yaml of an earlier run: FT_E_USAGE naming the first key that a resume may not change.
// Called after everything is derived. The directory of a dataset may change, its file name and the other fields may not.
ft_status ft_settings_check_resume(const ft_settings *settings, const char *resolved_path);
// A table of every key that the file names, in its order, 120 columns wide: what becomes of it, why, and where it stands. Below,
// the keys that have their value from elsewhere: flags and what the program derived.
ft_status ft_settings_table(const ft_settings *settings, ft_text *out);
// The i-th distinct note of the values read, with the keys it is about: "KEY, KEY: NOTE" in *out (emptied first). false after the
// last; *status is FT_E_NOMEM or FT_OK.
bool ft_settings_note(const ft_settings *settings, int i, ft_text *out, ft_status *status);
// Every key with its flag, range and default: text for --help, or the whole of docs/config.md.
ft_status ft_config_help(ft_text *out, bool markdown);
// One row of such a text: "  NAMES      ABOUT", wrapped at 120 columns. For the flags of a verb to look the same.
ft_status ft_help_row(ft_text *out, const char *names, const char *about);

#endif
