#include "cli/manual.h"

#include <ctype.h>
#include <string.h>

#include "cli/manual_roff.h"
#include "cli/manual_rows.h"
#include "common/config_help.h"
#include "common/file.h"
#include "common/memory.h"

#define CONFIG_PAGE "ft-single-config"

typedef struct {
    const ft_manual_program *program;
    const ft_verb *const *verbs;
    const char *directory;
} manual;

// ---- parts of pages

static ft_status add_rows(ft_text *out, const char *title, const ft_manual_row *rows)
{
    FT_TRY(ft_roff_section(out, title));
    for (; rows->name; rows++) FT_TRY(ft_roff_item(out, rows->name, NULL, rows->about));
    return FT_OK;
}

static ft_status add_flag(ft_text *out, const ft_flag *flag)
{
    char *name = ft_format("--%s", flag->name);
    FT_ALLOC_CHECK(name);
    ft_status status = ft_roff_item(out, name, flag->argument, flag->help);
    ft_free(name);
    return status;
}

static ft_status add_flags(ft_text *out, const ft_verb *verb)
{
    for (const ft_flag *flag = verb->flags; flag && flag->name; flag++) FT_TRY(add_flag(out, flag));
    if (verb->takes_config) {
        FT_TRY(ft_roff_item(out, "--KEY", "VALUE", "any key of " CONFIG_PAGE "(5); it overrides the file"));
        FT_TRY(ft_roff_item(out, "--set", "KEY=VALUE", "the same"));
    }
    return ft_roff_item(out, "-h, --help", NULL, "prints the flags, and the config keys where the verb takes them");
}

static ft_status add_synopsis(ft_text *out, const char *program, const ft_verb *verb)
{
    char *command = ft_format("%s %s", program, verb->name);
    FT_ALLOC_CHECK(command);
    ft_status status = ft_roff_synopsis(out, command, verb->synopsis);
    ft_free(command);
    return status;
}

// "a,b" as "a, b", which can be wrapped.
static ft_status add_names(ft_text *out, const char *names)
{
    for (; *names; names++) FT_TRY(ft_text_printf(out, *names == ',' ? "%c " : "%c", *names));
    return FT_OK;
}

// The summary as a sentence.
static ft_status add_sentence(ft_text *sentence, const ft_verb *verb)
{
    FT_TRY(ft_text_printf(sentence, "%c%s", toupper((unsigned char)verb->summary[0]), verb->summary + 1));
    if (verb->aliases) FT_TRY(ft_text_puts(sentence, "; also called "));
    if (verb->aliases) FT_TRY(add_names(sentence, verb->aliases));
    return ft_text_puts(sentence, ".");
}

static ft_status add_about(ft_text *out, const manual *m, const ft_verb *verb)
{
    const ft_manual_verb *row = ft_manual_verb_find(m->program->name, verb->name);
    ft_text sentence = {0};
    ft_status status = add_sentence(&sentence, verb);
    if (status == FT_OK) status = ft_roff_paragraph(out, sentence.data);
    ft_text_free(&sentence);
    return status == FT_OK && row && row->about ? ft_roff_paragraph(out, row->about) : status;
}

static ft_status add_examples(ft_text *out, const manual *m, const ft_verb *verb)
{
    const ft_manual_verb *row = ft_manual_verb_find(m->program->name, verb->name);
    for (size_t i = 0; row && i < sizeof row->examples / sizeof *row->examples && row->examples[i].name; i++)
        FT_TRY(ft_roff_example(out, row->examples[i].about, row->examples[i].name));
    return FT_OK;
}

// ---- pages

// Writes `page` as DIRECTORY/manS/NAME.S.
static ft_status write_page(const manual *m, const char *name, int section, ft_text *page)
{
    char *folder = ft_format("%s/man%d", m->directory, section), *path = ft_format("%s/man%d/%s.%d", m->directory, section, name, section);
    ft_status status = folder && path ? ft_make_directories(folder) : FT_E_NOMEM;
    if (status == FT_OK) status = ft_file_write(path, page->data, page->length);
    ft_free(folder);
    ft_free(path);
    return status;
}

static ft_status verb_page(ft_text *out, const manual *m, const ft_verb *verb, const char *name)
{
    FT_TRY(ft_roff_page(out, name, 1, verb->summary));
    FT_TRY(ft_roff_section(out, "SYNOPSIS"));
    FT_TRY(add_synopsis(out, m->program->name, verb));
    FT_TRY(ft_roff_section(out, "DESCRIPTION"));
    FT_TRY(add_about(out, m, verb));
    FT_TRY(ft_roff_section(out, "OPTIONS"));
    FT_TRY(add_flags(out, verb));
    FT_TRY(add_rows(out, "EXIT STATUS", ft_manual_exit_codes));
    FT_TRY(ft_roff_section(out, "EXAMPLES"));
    FT_TRY(add_examples(out, m, verb));
    FT_TRY(ft_roff_section(out, "SEE ALSO"));
    FT_TRY(ft_roff_reference(out, m->program->name, 1, !verb->takes_config));
    return verb->takes_config ? ft_roff_reference(out, CONFIG_PAGE, 5, true) : FT_OK;
}

static ft_status write_verb(const manual *m, const ft_verb *verb)
{
    ft_text page = {0};
    char *name = ft_format("%s-%s", m->program->name, verb->name);
    ft_status status = name ? verb_page(&page, m, verb, name) : FT_E_NOMEM;
    if (status == FT_OK) status = write_page(m, name, 1, &page);
    ft_text_free(&page);
    ft_free(name);
    return status;
}

static ft_status list_verbs(ft_text *out, const manual *m)
{
    for (const ft_verb *const *verb = m->verbs; *verb; verb++) FT_TRY(ft_roff_item(out, (*verb)->name, NULL, (*verb)->summary));
    return FT_OK;
}

// The verbs of a program that has one page, each with what its own page would say.
static ft_status describe_verbs(ft_text *out, const manual *m)
{
    for (const ft_verb *const *verb = m->verbs; *verb; verb++) {
        FT_TRY(ft_roff_subsection(out, (*verb)->name));
        FT_TRY(add_synopsis(out, m->program->name, *verb));
        FT_TRY(add_about(out, m, *verb));
        FT_TRY(add_flags(out, *verb));
        FT_TRY(add_examples(out, m, *verb));
    }
    return FT_OK;
}

static ft_status refer_to_verbs(ft_text *out, const manual *m)
{
    for (const ft_verb *const *verb = m->verbs; *verb && m->program->page_per_verb; verb++) {
        char *name = ft_format("%s-%s", m->program->name, (*verb)->name);
        FT_ALLOC_CHECK(name);
        ft_status status = ft_roff_reference(out, name, 1, false);
        ft_free(name);
        FT_TRY(status);
    }
    return FT_OK;
}

static ft_status program_page(ft_text *out, const manual *m)
{
    const ft_manual_program *program = m->program;
    FT_TRY(ft_roff_page(out, program->name, 1, program->summary));
    FT_TRY(ft_roff_section(out, "SYNOPSIS"));
    FT_TRY(ft_roff_synopsis(out, program->name, program->synopsis));
    FT_TRY(ft_roff_section(out, "DESCRIPTION"));
    FT_TRY(ft_roff_paragraph(out, program->description));
    FT_TRY(ft_roff_section(out, "VERBS"));
    FT_TRY(program->page_per_verb ? list_verbs(out, m) : describe_verbs(out, m));
    FT_TRY(add_rows(out, "ENVIRONMENT", ft_manual_environment));
    FT_TRY(add_rows(out, "FILES", ft_manual_files));
    FT_TRY(add_rows(out, "EXIT STATUS", ft_manual_exit_codes));
    FT_TRY(ft_roff_section(out, "SEE ALSO"));
    FT_TRY(refer_to_verbs(out, m));
    for (const ft_manual_program *other = ft_manual_programs; other->name; other++)
        if (other != program) FT_TRY(ft_roff_reference(out, other->name, 1, false));
    return ft_roff_reference(out, CONFIG_PAGE, 5, true);
}

static ft_status write_program(const manual *m)
{
    ft_text page = {0};
    ft_status status = program_page(&page, m);
    if (status == FT_OK) status = write_page(m, m->program->name, 1, &page);
    ft_text_free(&page);
    return status;
}

// ---- ft-single-config(5)

static ft_status describe_key(const ft_config_key *key, ft_text *about)
{
    bool ignored = key->type == FT_KEY_IGNORED;
    FT_TRY(ft_text_printf(about, "%s. Value: ", key->help));
    FT_TRY(ft_config_key_type(key, about));
    if (key->fallback) FT_TRY(ft_text_printf(about, "; default %s", key->fallback));
    if (key->excludes) FT_TRY(ft_text_printf(about, "; not together with %s", key->excludes));
    if (key->note) FT_TRY(ft_text_printf(about, ignored ? ". Where it asks for something else, with a warning: %s" : "; %s", key->note));
    if (key->refusal && ignored) FT_TRY(ft_text_printf(about, ". Otherwise: %s", key->refusal));
    if (key->aliases) FT_TRY(ft_text_puts(about, ". Also called "));
    if (key->aliases) FT_TRY(add_names(about, key->aliases));
    return ft_text_puts(about, ".");
}

static ft_status add_key(ft_text *out, const ft_config_key *key)
{
    ft_text about = {0};
    ft_status status = describe_key(key, &about);
    if (status == FT_OK) status = ft_roff_item(out, key->name, NULL, about.data);
    ft_text_free(&about);
    return status;
}

// The keys of a table that do something here, or those that do not; a heading wherever the group changes.
static ft_status add_keys(ft_text *out, const ft_config_key *keys, size_t n, bool ignored)
{
    const char *group = "";
    for (size_t i = 0; i < n; i++) {
        if ((keys[i].type == FT_KEY_IGNORED) != ignored) continue;
        if (!ignored && strcmp(group, keys[i].group) != 0) FT_TRY(ft_roff_subsection(out, keys[i].group));
        group = keys[i].group;
        FT_TRY(add_key(out, &keys[i]));
    }
    return FT_OK;
}

static ft_status config_page(ft_text *out)
{
    FT_TRY(ft_roff_page(out, CONFIG_PAGE, 5, "keys of a run's YAML file, and flags of the same names"));
    FT_TRY(ft_roff_section(out, "DESCRIPTION"));
    for (const char *const *rule = ft_manual_config_rules; *rule; rule++) FT_TRY(ft_roff_paragraph(out, *rule));
    FT_TRY(ft_roff_section(out, "KEYS"));
    FT_TRY(add_keys(out, ft_config_keys, ft_config_key_count, false));
    FT_TRY(ft_roff_section(out, "KEYS OF A DATASET"));
    FT_TRY(ft_roff_paragraph(out, "An entry of datasets or test_datasets is a map of these keys, or just a path."));
    FT_TRY(add_keys(out, ft_dataset_keys, ft_dataset_key_count, false));
    FT_TRY(ft_roff_section(out, "ACCEPTED FOR COMPATIBILITY"));
    FT_TRY(ft_roff_paragraph(out, "These keys of Axolotl do nothing here."));
    FT_TRY(add_keys(out, ft_config_keys, ft_config_key_count, true));
    FT_TRY(ft_roff_paragraph(out, "In an entry of datasets:"));
    FT_TRY(add_keys(out, ft_dataset_keys, ft_dataset_key_count, true));
    FT_TRY(ft_roff_section(out, "SEE ALSO"));
    return ft_roff_reference(out, "ft-single", 1, true);
}

static ft_status write_config(const manual *m)
{
    ft_text page = {0};
    ft_status status = config_page(&page);
    if (status == FT_OK) status = write_page(m, CONFIG_PAGE, 5, &page);
    ft_text_free(&page);
    return status;
}

ft_status ft_manual_write(const char *program, const ft_verb *const *verbs, const char *directory)
{
    const manual m = {ft_manual_program_find(program), verbs, directory};
    if (m.program == NULL) return ft_error(FT_E_UNSUPPORTED, "%s has no manual", program);
    FT_TRY(write_program(&m));
    if (!m.program->page_per_verb) return FT_OK;
    for (const ft_verb *const *verb = verbs; *verb; verb++) FT_TRY(write_verb(&m, *verb));
    return write_config(&m);
}
