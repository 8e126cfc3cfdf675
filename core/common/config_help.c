// The table as text for --help and as docs/config.md.
#include <string.h>

#include "common/config_help.h"
#include "common/config_internal.h"

#define FLAG_WIDTH 36    // column where descriptions start
#define LINE_WIDTH 120

static const char *argument_name(const ft_config_key *key)
{
    switch (key->type) {
    case FT_KEY_BOOL: return "[BOOL]";
    case FT_KEY_INT: return "N";
    case FT_KEY_REAL: return "X";
    case FT_KEY_BYTES: return "SIZE";
    case FT_KEY_LIST: return key->flags & FT_KEY_PATH ? "DIR,..." : "NAME,...";
    case FT_KEY_DATASETS: return "FILE,...";
    default: return key->flags & FT_KEY_PATH ? "PATH" : "TEXT";
    }
}

// "a|b=c~d|" as "a, b (also c, d), blank".
static ft_status add_choices(const char *choices, ft_text *out)
{
    for (const char *at = choices;;) {
        size_t bytes = strcspn(at, "|");
        size_t first = strcspn(at, "=~|");
        const char *synonyms = first < bytes ? at + first : NULL;
        FT_TRY(bytes ? ft_text_add(out, at, first) : ft_text_printf(out, "blank"));
        if (synonyms) {
            FT_TRY(ft_text_printf(out, " (also "));
            for (const char *c = synonyms + 1; c < at + bytes; c++) FT_TRY(ft_text_printf(out, *c == '=' || *c == '~' ? ", " : "%c", *c));
            FT_TRY(ft_text_puts(out, ")"));
        }
        at += bytes;
        if (*at++ == 0) return FT_OK;
        FT_TRY(ft_text_puts(out, ", "));
    }
}

static ft_status add_range(const ft_config_key *key, ft_text *out)
{
    if (key->maximum >= FT_KEY_UNBOUNDED) return ft_text_printf(out, ", at least %.10g", key->minimum);
    return ft_text_printf(out, ", %.10g to %.10g", key->minimum, key->maximum);
}

ft_status ft_config_key_type(const ft_config_key *key, ft_text *out)
{
    switch (key->type) {
    case FT_KEY_BOOL: return ft_text_printf(out, "true or false");
    case FT_KEY_INT:
        FT_TRY(ft_text_puts(out, key->unit ? key->unit : "whole number"));
        return add_range(key, out);
    case FT_KEY_REAL:
        FT_TRY(ft_text_puts(out, key->unit ? key->unit : "number"));
        return add_range(key, out);
    case FT_KEY_BYTES: return ft_text_printf(out, "size (K, M, G, T = 1024^n)");
    case FT_KEY_CHOICE: return add_choices(key->choices, out);
    case FT_KEY_LIST: return ft_text_printf(out, key->flags & FT_KEY_PATH ? "list of paths" : "list of names");
    case FT_KEY_DATASETS: return ft_text_printf(out, "list of data sets");
    case FT_KEY_IGNORED: return key->choices == NULL || key->note ? ft_text_puts(out, "any") : add_choices(key->choices, out);
    default: return ft_text_printf(out, key->flags & FT_KEY_PATH ? "path" : "text");
    }
}

// ---- text

// Adds the words of `text` from column `column` on, later lines indented to FLAG_WIDTH.
static ft_status add_wrapped(const char *text, size_t column, ft_text *out)
{
    const char *space = "";
    for (const char *word = text; *word;) {
        size_t bytes = strcspn(word, " ");
        if (column + bytes + 1 > LINE_WIDTH) {
            FT_TRY(ft_text_printf(out, "\n%*s", FLAG_WIDTH, ""));
            column = FLAG_WIDTH;
            space = "";
        }
        FT_TRY(ft_text_printf(out, "%s%.*s", space, (int)bytes, word));
        column += bytes + strlen(space);
        space = " ";
        word += bytes + strspn(word + bytes, " ");
    }
    return ft_text_puts(out, "\n");
}

static bool add_flag_name(void *context, const char *name, size_t bytes)
{
    ft_text *out = context;
    const char *lead = out->length ? ", --" : "--";
    if (ft_text_add(out, lead, strlen(lead)) != FT_OK) return true;
    size_t start = out->length;
    if (ft_text_add(out, name, bytes) != FT_OK) return true;
    for (char *c = out->data + start; *c; c++)
        if (*c == '_') *c = '-';
    return false;
}

// "fp8|bf16": the choices without synonyms and blank.
static ft_status add_choice_names(const char *choices, ft_text *out)
{
    const char *separator = "";
    for (const char *at = choices; *at; separator = "|") {
        FT_TRY(ft_text_printf(out, "%s%.*s", separator, (int)strcspn(at, "=~|"), at));
        at += strcspn(at, "|");
        at += *at == '|';
    }
    return FT_OK;
}

ft_status ft_help_row(ft_text *out, const char *names, const char *about)
{
    int width = FLAG_WIDTH - 2 - (int)strlen(names);
    FT_TRY(ft_text_printf(out, "  %s%*s", names, width > 1 ? width : 0, ""));
    if (width < 2) FT_TRY(ft_text_printf(out, "\n%*s", FLAG_WIDTH, ""));
    return add_wrapped(about, FLAG_WIDTH, out);
}

static ft_status add_flag(const ft_config_key *key, ft_text *names, ft_text *about, ft_text *out)
{
    if (ft_key_names(key, add_flag_name, names)) return FT_E_NOMEM;
    FT_TRY(ft_text_puts(names, " "));
    if (key->type == FT_KEY_CHOICE) FT_TRY(add_choice_names(key->choices, names));
    else FT_TRY(ft_text_puts(names, argument_name(key)));
    FT_TRY(ft_text_puts(about, key->help));
    if (key->fallback) FT_TRY(ft_text_printf(about, " (%s)", key->fallback));
    return ft_help_row(out, names->data, about->data);
}

static ft_status text_help(ft_text *out)
{
    const char *group = "";
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        if (key->type == FT_KEY_IGNORED) continue;
        if (strcmp(group, key->group) != 0) FT_TRY(ft_text_printf(out, "%s%s\n", i ? "\n" : "", key->group));
        group = key->group;
        ft_text names = {0}, about = {0};
        ft_status status = add_flag(key, &names, &about, out);
        ft_text_free(&names);
        ft_text_free(&about);
        FT_TRY(status);
    }
    return FT_OK;
}

// ---- docs/config.md

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "Written by the program from its table of keys (`core/common/config_keys.c`); a test keeps this page current.\n"
    "\n"
    "A run is described by a YAML file, by flags, or by both; a flag overrides the file. Every key below is a flag as well:\n"
    "`lora_r: 32` in a file is `--lora-r 32` or `--lora_r=32` or `--set lora_r=32` on the command line.\n"
    "\n"
    "- Names follow Axolotl's, so its files can be used as they are. What means nothing here is accepted and listed by\n"
    "  `ft-single plan`; what would change the result and is not implemented is refused by name. An unknown key is an error.\n"
    "- `$NAME` and `${NAME}` are replaced by the environment; an unset one is an error, `$$` is a plain `$`.\n"
    "- Relative paths in a file are relative to the file. Where a hub id may stand, this holds if the path exists.\n"
    "- A hub id, `ORG/NAME` or `ORG/NAME@REVISION`, is looked up in the Hugging Face cache (`HF_HUB_CACHE`, else `HF_HOME/hub`, else\n"
    "  `~/.cache/huggingface/hub`), and what is missing there is downloaded unless `HF_HUB_OFFLINE=1`. A path that exists wins.\n"
    "- A blank value leaves the default. The one exception is `adapter`: in a file, a missing or blank one asks for full\n"
    "  fine-tuning. Without a file the default is `lora`.\n"
    "- Lists are YAML lists or one value with commas. Sizes are bytes, or numbers with K, M, G or T (1024^n).\n"
    "- On the command line `datasets` is one path or several with commas, and a key that is true or false may stand alone:\n"
    "  `--deterministic`. A blank value, as in `--adapter \"\"`, unsets a key without a default, a list, or `adapter`.\n"
    "- A run writes `config.resolved.yaml`: every key, its value, and where it came from. `--resume` compares with it; only\n"
    "  keys marked \"yes\" under \"resume\" may differ. (Of `datasets`, the directory may differ, the file name may not.)\n";

static bool add_code_name(void *context, const char *name, size_t bytes)
{
    ft_text *out = context;
    const char *separator = out->data[out->length - 1] == '`' ? ", " : "";
    return ft_text_printf(out, "%s`%.*s`", separator, (int)bytes, name) != FT_OK;
}

static ft_status key_row(const ft_config_key *key, bool resume, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "| "));
    if (ft_key_names(key, add_code_name, out)) return FT_E_NOMEM;
    FT_TRY(ft_text_puts(out, " | "));
    FT_TRY(ft_config_key_type(key, out));
    FT_TRY(ft_text_printf(out, key->fallback ? " | %s" : " | ", key->fallback));
    if (resume) FT_TRY(ft_text_printf(out, " | %s", key->flags & FT_KEY_MAY_CHANGE ? "yes" : ""));
    FT_TRY(ft_text_printf(out, " | %s", key->help));
    if (key->note) FT_TRY(ft_text_printf(out, "; %s", key->note));
    if (key->excludes) FT_TRY(ft_text_printf(out, "; not together with `%s`", key->excludes));
    return ft_text_puts(out, " |\n");
}

static ft_status ignored_row(const ft_config_key *key, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "| "));
    if (ft_key_names(key, add_code_name, out)) return FT_E_NOMEM;
    FT_TRY(ft_text_puts(out, " | "));
    FT_TRY(ft_config_key_type(key, out));
    FT_TRY(ft_text_printf(out, " | %s", key->help));
    if (key->refusal) FT_TRY(ft_text_printf(out, "; otherwise: %s", key->refusal));
    if (key->note) FT_TRY(ft_text_printf(out, "; otherwise, with a warning: %s", key->note));
    return ft_text_puts(out, " |\n");
}

// The rows of a table that are, or are not, ignored keys; a heading wherever the group changes.
static ft_status add_rows(const ft_config_key *keys, size_t n, bool ignored, bool resume, ft_text *out)
{
    const char *group = "";
    for (size_t i = 0; i < n; i++) {
        if ((keys[i].type == FT_KEY_IGNORED) != ignored) continue;
        if (!ignored && strcmp(group, keys[i].group) != 0)
            FT_TRY(ft_text_printf(out, "\n## %s\n\n| key | value | default |%s meaning |\n|---|---|---|%s---|\n", keys[i].group,
                                  resume ? " resume |" : "", resume ? "---|" : ""));
        group = keys[i].group;
        FT_TRY(ignored ? ignored_row(&keys[i], out) : key_row(&keys[i], resume, out));
    }
    return FT_OK;
}

static ft_status markdown_help(ft_text *out)
{
    FT_TRY(ft_text_add(out, introduction, sizeof introduction - 1));
    FT_TRY(add_rows(ft_config_keys, ft_config_key_count, false, true, out));
    FT_TRY(add_rows(ft_dataset_keys, ft_dataset_key_count, false, false, out));
    FT_TRY(ft_text_printf(out, "\nAn entry of `datasets` or `test_datasets` is a map of these keys, or just a path.\n"
                               "\n## Accepted for compatibility\n"
                               "\nThese keys do nothing here. Values other than the accepted ones are refused.\n"
                               "\n| key | accepted | why |\n|---|---|---|\n"));
    FT_TRY(add_rows(ft_config_keys, ft_config_key_count, true, false, out));
    FT_TRY(ft_text_printf(out, "\nIn an entry of `datasets`:\n\n| key | accepted | why |\n|---|---|---|\n"));
    return add_rows(ft_dataset_keys, ft_dataset_key_count, true, false, out);
}

ft_status ft_config_help(ft_text *out, bool markdown)
{
    return markdown ? markdown_help(out) : text_help(out);
}
