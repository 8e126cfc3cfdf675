// What the rules of serve_check.h share: the subject they look at, and how they say what they found.
#ifndef FT_TRAIN_SERVE_CHECK_INTERNAL_H
#define FT_TRAIN_SERVE_CHECK_INTERNAL_H

#include <jansson.h>

#include "arch/shape.h"
#include "io/safetensors.h"
#include "train/serve_check.h"

// What of the subject is open. A rule that opens something sets its bit; one that needs something comes after it.
enum {
    SERVE_CONFIG = 1,   // config: adapter_config.json
    SERVE_WEIGHTS = 2,  // weights: adapter_model.safetensors
    SERVE_SHAPE = 4,    // shape: the base's, or the model's
    SERVE_FILES = 8,    // files: the model's safetensors
};

typedef struct {
    const ft_serve_options *options;
    unsigned open;
    json_t *config;
    ft_safetensors weights;
    char *base_directory;    // where the base's config.json lies; heap
    ft_shape shape;
    ft_model_files files;
    ft_serve_report *report;
} ft_serve_subject;

typedef struct ft_serve_rule ft_serve_rule;
// Says one thing about the subject through one of the three calls below; fails only where memory or the system does.
typedef ft_status (*ft_serve_rule_check)(ft_serve_subject *subject, const ft_serve_rule *rule, ft_serve_finding *finding);

struct ft_serve_rule {
    const char *name;
    unsigned needs;             // of the bits above
    ft_serve_rule_check check;
    const char *source;
    const char *key, *remedy;   // for checks that several rules share
};

// Tables, ended by a NULL name, run in this order for an adapter; the last one alone for a model.
extern const ft_serve_rule ft_serve_config_rules[], ft_serve_tensor_rules[], ft_serve_base_rules[], ft_serve_model_rules[];

// Returns FT_OK. `remedy`: NULL = there is nothing to do.
ft_status ft_serve_say(ft_serve_finding *finding, ft_serve_verdict verdict, const char *remedy, const char *format, ...) __attribute__((format(printf, 4, 5)));
#define ft_serve_ok(finding, ...) ft_serve_say((finding), FT_SERVE_OK, NULL, __VA_ARGS__)
#define ft_serve_note(finding, remedy, ...) ft_serve_say((finding), FT_SERVE_NOTE, (remedy), __VA_ARGS__)
#define ft_serve_fail(finding, remedy, ...) ft_serve_say((finding), FT_SERVE_FAIL, (remedy), __VA_ARGS__)
// The call that failed is the finding, in its own words; FT_E_NOMEM is passed on.
ft_status ft_serve_fail_as(ft_serve_finding *finding, const char *remedy, ft_status status);

// null, false, "", [] and {} say nothing.
bool ft_serve_is_set(const json_t *item);
// The rank of a module ("model.layers.0.self_attn.q_proj"): rank_pattern's, else r. Needs SERVE_CONFIG.
int64_t ft_serve_rank_of(const ft_serve_subject *subject, const char *module, size_t length);
// Whether target_modules names the module, as PEFT decides it: a regular expression matches the whole of its path, an entry of a
// list its end. Needs SERVE_CONFIG.
bool ft_serve_is_target(const ft_serve_subject *subject, const char *module, size_t length);
bool ft_serve_has_file(const char *directory, const char *name);
// DIRECTORY/NAME as JSON, NULL if it is not there or not JSON.
json_t *ft_serve_load_json(const char *directory, const char *name);

// The tokenizer of a directory against a vocabulary; used for base and model.
ft_status ft_serve_tokenizer(ft_serve_finding *finding, const char *directory, int64_t vocab);

#endif
