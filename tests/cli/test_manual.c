// The manual says what the tables say: a page for every verb, a paragraph for every flag and key, examples that would be understood.
#include "verb_fixture.h"

#include "cli/manual.h"
#include "cli/manual_roff.h"
#include "cli/manual_rows.h"
#include "cli/verbs.h"

static char folder[64];

static int write_pages(void **state)
{
    const char *base = getenv("TMPDIR");
    assert_in_range(snprintf(folder, sizeof folder, "%s/ft-manual-XXXXXX", base && *base ? base : "/tmp"), 1, sizeof folder - 1);
    assert_non_null(mkdtemp(folder));
    done(ft_manual_write("ft-single", ft_verbs, folder));
    return 0;
}

static int remove_pages(void **state)
{
    ft_remove_tree(folder);
    return 0;
}

// `text` as a page has it: bold, with its dashes escaped.
static void has_term(const char *page, const char *text)
{
    char term[256] = "\\fB";
    size_t n = strlen(term);
    for (; *text; text++) n += (size_t)snprintf(term + n, sizeof term - n, *text == '-' ? "\\%c" : "%c", *text);
    snprintf(term + n, sizeof term - n, "\\fR");
    contains(page, term);
}

static void every_verb_has_a_page_with_its_flags(void **state)
{
    char *index = file_text(at("%s/man1/ft-single.1", folder), &(size_t){0});
    for (int v = 0; ft_verbs[v]; v++) {
        const ft_verb *verb = ft_verbs[v];
        char *page = file_text(at("%s/man1/ft-single-%s.1", folder, verb->name), &(size_t){0});
        has_term(index, verb->name);
        has_term(page, at("ft-single %s", verb->name));
        for (const ft_flag *flag = verb->flags; flag && flag->name; flag++) has_term(page, at("--%s", flag->name));
        free(page);
    }
    free(index);
}

static void every_key_is_described(void **state)
{
    char *page = file_text(at("%s/man5/ft-single-config.5", folder), &(size_t){0});
    for (size_t k = 0; k < ft_config_key_count; k++) has_term(page, ft_config_keys[k].name);
    for (size_t k = 0; k < ft_dataset_key_count; k++) has_term(page, ft_dataset_keys[k].name);
    contains(page, "Value: tokens, at least 0; default 0.");
    free(page);
}

static bool knows_flag(const ft_verb *verb, const char *name, size_t bytes)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)bytes, name);
    for (const ft_flag *flag = verb->flags; flag && flag->name; flag++)
        if (strcmp(flag->name, text) == 0) return true;
    return verb->takes_config && ft_config_find(text) != NULL;
}

// The program's own: of the verb that it stands with, with flags that this verb has.
static void check_example(const char *command)
{
    static const char start[] = "ft-single ";
    const char *at_verb = strstr(command, start);
    if (at_verb == NULL) fail_msg("'%s' does not call ft-single", command);
    at_verb += sizeof start - 1;
    const ft_verb *verb;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at_verb, " )"), at_verb);
    done(ft_verb_find(&verb, ft_verbs, name));
    for (const char *flag = strstr(command, " --"); flag; flag = strstr(flag + 1, " --"))
        if (!knows_flag(verb, flag + 3, strcspn(flag + 3, " ="))) fail_msg("'%s': %s has no such flag", command, verb->name);
}

static void every_verb_has_examples_that_it_understands(void **state)
{
    for (int v = 0; ft_verbs[v]; v++) {
        const ft_manual_verb *row = ft_manual_verb_find("ft-single", ft_verbs[v]->name);
        if (row == NULL || row->examples[0].name == NULL) fail_msg("%s has no example in manual_rows.c", ft_verbs[v]->name);
        for (size_t i = 0; i < sizeof row->examples / sizeof *row->examples && row->examples[i].name; i++) check_example(row->examples[i].name);
    }
}

static void every_row_is_of_a_verb(void **state)
{
    for (const ft_manual_verb *row = ft_manual_verbs; row->verb; row++) {
        const ft_verb *verb;
        if (strcmp(row->program, "ft-single") == 0) done(ft_verb_find(&verb, ft_verbs, row->verb));
    }
}

// What roff would take for a macro, an escape or a typographic mark comes out as it went in.
static void text_is_escaped(void **state)
{
    ft_text out = {0};
    done(ft_roff_section(&out, "X"));
    done(ft_roff_paragraph(&out, ".TH 'a' \\n --key ~ ^ `b`"));
    assert_string_equal(out.data, ".SH X\n\\&.TH \\(aqa\\(aq \\en \\-\\-key \\(ti \\(ha \\(gab\\(ga\n");
    ft_text_free(&out);
}

static void the_program_writes_the_same_pages(void **state)
{
    program_ok("--manual", at("%s/again", folder));
    files_equal(at("%s/man1/ft-single-train.1", folder), at("%s/again/man1/ft-single-train.1", folder));
    files_equal(at("%s/man5/ft-single-config.5", folder), at("%s/again/man5/ft-single-config.5", folder));
}

static void a_program_without_prose_is_refused(void **state)
{
    assert_int_equal(ft_manual_write("other", ft_verbs, folder), FT_E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_has_a_page_with_its_flags), cmocka_unit_test(every_key_is_described),
        cmocka_unit_test(every_verb_has_examples_that_it_understands), cmocka_unit_test(every_row_is_of_a_verb), cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(the_program_writes_the_same_pages), cmocka_unit_test(a_program_without_prose_is_refused),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, write_pages, remove_pages);
}
