// The configuration: one struct, one table of keys.
//
// Every key is a row of ft_config_keys (name, aliases, type, unit, default, range, help). From the rows come the YAML reader,
// the command-line flags (--KEY VALUE, `_` and `-` alike), --help, docs/config.md, did-you-mean, config.resolved.yaml and the
// check of what a resume may change. Names follow Axolotl's. Adding a key is one member and one row.
#ifndef FT_COMMON_CONFIG_H
#define FT_COMMON_CONFIG_H

#include "common/text.h"

// One dataset (an entry of `datasets` or `test_datasets`). Strings are heap, NULL when not given.
typedef struct {
    char *path;
    char *type;              // alpaca | completion | tokens | chat_template | ... ; NULL = detect
    char *split;
    char *data_files;
    char *name;
    char *chat_template;
    char *field_messages, *message_property_role, *message_property_content;
    char *field_instruction, *field_input, *field_output, *field;
    double weight;           // 1
    int64_t max_samples;     // 0 = all
    int line;                // line of the entry in the config file, 0 if from a flag
} ft_dataset_config;

typedef struct {
    ft_dataset_config *items;
    int n;
} ft_dataset_list;

typedef struct {
    char **items;
    int n;
} ft_string_list;

typedef struct {
    // model
    char *base_model;            // directory (or hub id)
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
    bool sample_packing, pad_to_sequence_len, eval_sample_packing;
    int64_t sequence_len;
    char *excess_length_strategy;  // drop | truncate
    bool shuffle_merged_datasets;
    char *special_pad_token, *special_eos_token, *special_bos_token;  // special_tokens.{pad,eos,bos}_token
    // optimisation
    int64_t micro_batch_size, gradient_accumulation_steps, global_batch_tokens;
    double num_epochs;
    int64_t max_steps;           // 0 = by epochs
    char *optimizer;             // adamw_torch and its aliases
    double learning_rate, weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm;
    char *lr_scheduler;          // constant | linear | cosine
    double cosine_min_lr_ratio;
    int64_t warmup_steps;        // -1 = by ratio
    double warmup_ratio;
    int64_t seed;
    // evaluation and saving
    int64_t eval_steps;          // 0 = at the end of every epoch and at the end
    int64_t early_stopping_patience;
    int64_t save_steps;          // 0 = by time
    double save_minutes;         // 10
    int64_t save_total_limit;
    int64_t logging_steps;
    char *output_dir;
    // machine and placement (may change at a resume)
    ft_string_list nvme;         // directories
    char *device;                // auto | cuda | cpu
    int64_t gpus;
    char *compute;               // bf16 | fp8
    bool deterministic;
    int64_t hbm_budget, host_budget, nvme_budget;  // bytes, 0 = what the machine offers
    char *base_placement;        // auto | hbm | host | nvme
    int64_t pinned_layers_hbm, pinned_layers_host;  // -1 = the plan decides
    char *activation_policy;     // auto | keep | recompute
    char *boundary_placement;    // auto | hbm | host | nvme
    int64_t sweep_micro_batches; // 0 = the plan decides
    int64_t prefetch_depth;      // layers loaded ahead, 1..4
    int64_t head_chunk;          // tokens whose logits exist at once (changes nothing but rounding; part of the config)
    char *io_engine;
    int64_t io_depth, io_chunk;
    char *machine;               // machine file
    int64_t threads;
} ft_config;

typedef enum {
    FT_KEY_BOOL,
    FT_KEY_INT,
    FT_KEY_REAL,
    FT_KEY_BYTES,      // int64_t member; 512M, 1.5G
    FT_KEY_STRING,
    FT_KEY_CHOICE,     // char * member; `choices` holds "a|b|c"
    FT_KEY_LIST,       // ft_string_list; comma-separated on the command line
    FT_KEY_DATASETS,   // ft_dataset_list; a path on the command line
    FT_KEY_IGNORED,    // accepted for compatibility; `help` says why it does nothing here
} ft_key_type;

enum {
    FT_KEY_MAY_CHANGE = 1,  // a resume may change it: budgets, placement, paths, logging
    FT_KEY_PATH = 2,        // relative paths in a config file are relative to that file
};

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
} ft_config_key;

extern const ft_config_key ft_config_keys[];
extern const size_t ft_config_key_count;

// Where a value came from and, for derived defaults, why ("32 sequences: train set is small").
typedef struct {
    ft_config values;
    char **source;           // one heap string per key: "default", "FILE:LINE", "--flag"; parallel to ft_config_keys
    char *file;              // config file, NULL if none
} ft_settings;

ft_status ft_settings_init(ft_settings *settings);  // all defaults
void ft_settings_free(ft_settings *settings);
// Reads a YAML file. Unknown keys, wrong types, values out of range and unset $VARIABLES are FT_E_USAGE naming file, line and,
// for an unknown key, the nearest known one. A file without `adapter` (or with a blank one) asks for full fine-tuning.
ft_status ft_settings_read(ft_settings *settings, const char *path);
// Sets one key from text; `source` is recorded ("--lora-r"). Name lookup treats - and _ alike and knows aliases.
ft_status ft_settings_set(ft_settings *settings, const char *key, const char *value, const char *source);
// As set, for values the program derives; the reason is printed and stands in config.resolved.yaml.
ft_status ft_settings_derive(ft_settings *settings, const char *key, const char *value, const char *reason);
bool ft_settings_given(const ft_settings *settings, const char *key);  // set by file or flag
const char *ft_settings_source(const ft_settings *settings, const char *key);
const ft_config_key *ft_config_find(const char *name);  // by name or alias, NULL if unknown
const char *ft_config_suggest(const char *name);        // nearest known key, NULL if none is near
// The value of a key as YAML text, appended.
ft_status ft_settings_format(const ft_settings *settings, const ft_config_key *key, ft_text *out);
// config.resolved.yaml: every key with its value and a comment saying where it came from.
ft_status ft_settings_write(const ft_settings *settings, ft_text *out);
// Compares with the config.resolved.yaml of an earlier run: FT_E_USAGE naming the first key that a resume may not change.
ft_status ft_settings_check_resume(const ft_settings *settings, const char *resolved_path);
// Help table / reference page.
ft_status ft_config_help(ft_text *out, bool markdown);

#endif
