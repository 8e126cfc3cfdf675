// Every verb explains itself: --help lists its own flags and, where it takes a config, every key; results go to stdout alone.
#include "verb_fixture.h"

#include "cli/verbs.h"
#include "common/config.h"

static void fits_the_screen(const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
        if (strcspn(line, "\n") > 120) fail_msg("more than 120 columns: %.*s", (int)strcspn(line, "\n"), line);
}

static void every_verb_lists_its_flags(void **state)
{
    int flags = 0;
    for (int v = 0; ft_verbs[v]; v++) {
        const ft_verb *verb = ft_verbs[v];
        program p = {0};
        program_run(&p, verb->name, "--help");
        assert_int_equal(p.exit_code, 0);
        assert_string_equal(p.err, "");
        contains(p.out, verb->summary);
        fits_the_screen(p.out);
        contains(p.out, at("usage: ft-single %s %s", verb->name, verb->synopsis));
        for (const ft_flag *flag = verb->flags; flag && flag->name; flag++, flags++) contains(p.out, at("--%s", flag->name));
        char *same = verbs_output("help", verb->name);
        assert_string_equal(same, p.out);
        free(same);
        program_free(&p);
    }
    assert_true(flags > 20);
}

// Keys are spelled with dashes as flags.
static void a_verb_with_a_config_lists_every_key(void **state)
{
    for (int v = 0; ft_verbs[v]; v++) {
        char *text = verbs_output(ft_verbs[v]->name, "-h");
        for (size_t k = 0; ft_verbs[v]->takes_config && k < ft_config_key_count; k++) {
            const ft_config_key *key = &ft_config_keys[k];
            char flag[128];
            if (key->type == FT_KEY_IGNORED) continue;
            snprintf(flag, sizeof flag, "--%s", key->name);
            for (char *c = flag; *c; c++)
                if (*c == '_') *c = '-';
            contains(text, flag);
        }
        free(text);
    }
}

static void an_alias_is_its_verb(void **state)
{
    char *one = verbs_output("prepare", "--help"), *other = verbs_output("quantize", "--help");
    assert_string_equal(one, other);
    free(one);
    free(other);
}

static void the_program_lists_its_verbs(void **state)
{
    char *text = verbs_output("--help"), *same = verbs_output("help"), *version = verbs_output("--version"), *short_version = verbs_output("-V");
    for (int v = 0; ft_verbs[v]; v++) {
        contains(text, at("  %s ", ft_verbs[v]->name));
        contains(text, ft_verbs[v]->summary);
    }
    assert_string_equal(text, same);
    contains(version, "ft-single ");
    contains(version, "liburing");
    assert_string_equal(version, short_version);
    free(text);
    free(same);
    free(version);
    free(short_version);
}

// Without a verb the usage is an answer to a mistake.
static void no_verb_is_a_mistake(void **state)
{
    program p = {0};
    program_run_list(&p, (const char *const[]){NULL});
    assert_int_equal(p.exit_code, 2);
    assert_string_equal(p.out, "");
    contains(p.err, "usage: ft-single VERB");
    program_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_lists_its_flags), cmocka_unit_test(a_verb_with_a_config_lists_every_key), cmocka_unit_test(an_alias_is_its_verb),
        cmocka_unit_test(the_program_lists_its_verbs), cmocka_unit_test(no_verb_is_a_mistake),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
