// Completion as a shell does it: bash reads the script, is given a line, and says what it would offer.
#include "verb_fixture.h"

#include "cli/completion.h"
#include "cli/verbs.h"

static char folder[64];

// What follows the last space of the line is what is being completed. compopt works only while a shell completes for real.
static const char ask[] =
    "source \"$1\"; COMP_WORDS=($2); [[ $2 == *' ' ]] && COMP_WORDS+=(''); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
    "compopt() { :; }; _ft_single; echo \"${COMPREPLY[*]}\"\n";

static char *shell_output(const char *command)
{
    char *text = calloc(1, 1 << 16);
    FILE *pipe = popen(command, "r");
    assert_non_null(text);
    assert_non_null(pipe);
    size_t bytes = fread(text, 1, (1 << 16) - 1, pipe);
    if (pclose(pipe) != 0) fail_msg("%s: failed", command);
    text[bytes - (bytes > 0 && text[bytes - 1] == '\n')] = 0;
    return text;
}

static char *completed(const char *line)
{
    return shell_output(at("bash %s/ask.sh %s/ft-single '%s' 2>&1", folder, folder, line));
}

static void offers(const char *line, const char *expected)
{
    char *text = completed(line);
    if (strcmp(text, expected) != 0) fail_msg("'%s': '%s' where '%s' is right", line, text, expected);
    free(text);
}

// `word` is one of the words offered.
static bool has_word(const char *text, const char *word)
{
    size_t bytes = strlen(word);
    for (const char *found = strstr(text, word); found; found = strstr(found + 1, word))
        if ((found == text || found[-1] == ' ') && (found[bytes] == ' ' || found[bytes] == 0)) return true;
    return false;
}

static int make_folder(void **state)
{
    const char *base = getenv("TMPDIR");
    assert_in_range(snprintf(folder, sizeof folder, "%s/ft-complete-XXXXXX", base && *base ? base : "/tmp"), 1, sizeof folder - 1);
    assert_non_null(mkdtemp(folder));
    char *script = verbs_output("completion", "bash");
    write_text(at("%s/ft-single", folder), script);
    write_text(at("%s/ask.sh", folder), ask);
    done(ft_make_directories(at("%s/drives/one", folder)));
    done(ft_make_directories(at("%s/drives/two", folder)));
    write_text(at("%s/drives/note.txt", folder), "");
    write_text(at("%s/drives/run.yaml", folder), "");
    free(script);
    return 0;
}

static int remove_folder(void **state)
{
    ft_remove_tree(folder);
    return 0;
}

static void bash_registers_it(void **state)
{
    char *text = shell_output(at("bash -c 'source %s/ft-single && complete -p ft-single'", folder));
    assert_string_equal(text, "complete -F _ft_single ft-single");
    free(text);
}

static void verbs_and_aliases_are_offered(void **state)
{
    char *text = completed("ft-single ");
    for (int v = 0; ft_verbs[v]; v++) assert_true(has_word(text, ft_verbs[v]->name));
    free(text);
    offers("ft-single tr", "train");
    offers("ft-single quan", "quantize");
    offers("ft-single help gen", "generate");
}

static void own_flags_come_for_the_verb_alone(void **state)
{
    offers("ft-single train --res", "--resume --resume-from");
    offers("ft-single quantize --base", "--base-format");
    offers("ft-single info --res", "");
}

// With the dashes or underscores that it was begun with.
static void keys_are_flags_where_a_verb_takes_them(void **state)
{
    static const char *const lora[] = {"--lora-r", "--lora-alpha", "--lora-dropout", "--lora-target-modules"};
    char *text = completed("ft-single train --lora-"), *underscored = completed("ft-single train --lora_");
    for (size_t i = 0; i < sizeof lora / sizeof *lora; i++) assert_true(has_word(text, lora[i]));
    assert_true(has_word(underscored, "--lora_target_modules"));
    free(text);
    free(underscored);
    offers("ft-single info --lora-", "");
}

static void a_choice_offers_its_values(void **state)
{
    offers("ft-single train --compute ", "bf16 fp8");
    offers("ft-single train --compute = f", "fp8");  // bash makes three words of --compute=f
    offers("ft-single train --lr_scheduler co", "cosine constant");
    offers("ft-single train --deterministic f", "false");
    offers("ft-single prepare DIR --base-format ", "fp8 bf16");
    offers("ft-single store ", "list remove");
    offers("ft-single completion ", "bash zsh fish");
}

static void paths_are_told_apart(void **state)
{
    offers(at("ft-single train --nvme %s/drives/", folder), at("%s/drives/one %s/drives/two", folder, folder));
    offers(at("ft-single train --nvme /a,%s/drives/o", folder), at("/a,%s/drives/one", folder));
    offers(at("ft-single train --data %s/drives/n", folder), at("%s/drives/note.txt", folder));
    offers(at("ft-single train %s/drives/", folder), at("%s/drives/run.yaml", folder));
    offers("ft-single train --lora-r ", "");
}

// A name that would be a pattern is a name.
static void names_are_taken_as_they_are(void **state)
{
    done(ft_make_directories(at("%s/odd/d&1", folder)));
    write_text(at("%s/odd/st*r", folder), "");
    write_text(at("%s/odd/stir", folder), "");
    char *text = completed(at("ft-single train --data %s/odd/st", folder));
    const char *pattern = at("%s/odd/st*r", folder), *other = at("%s/odd/stir", folder);
    if (!has_word(text, pattern) || !has_word(text, other) || strlen(text) != strlen(pattern) + 1 + strlen(other)) fail_msg("%s", text);
    free(text);
    offers(at("ft-single train --nvme /x&y,%s/odd/d", folder), at("/x&y,%s/odd/d&1", folder));
}

// After a switch comes the next argument, not its value; so it may after a key that is true or false, which can stand alone.
static void a_switch_takes_no_value(void **state)
{
    offers("ft-single train --resume --comp", "--compute");
    offers(at("ft-single train --resume %s/drives/r", folder), at("%s/drives/run.yaml", folder));
    offers(at("ft-single train --deterministic %s/drives/r", folder), at("%s/drives/run.yaml", folder));
}

static void every_shell_gets_every_verb(void **state)
{
    for (const ft_shell *shell = ft_shells; shell->name; shell++) {
        char *text = verbs_output("completion", shell->name);
        for (int v = 0; ft_verbs[v]; v++) contains(text, ft_verbs[v]->name);
        contains(text, "lora-target-modules");
        free(text);
    }
}

// zsh and fish read theirs without complaint; one that is not here is not asked.
static void other_shells_read_theirs(void **state)
{
    static const char *const shells[] = {"zsh", "fish"};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        const char *name = shells[i];
        char *text = verbs_output("completion", name);
        write_text(at("%s/script", folder), text);
        free(text);
        free(shell_output(at("! command -v %s >/dev/null || %s -n %s/script 2>&1", name, name, folder)));
    }
}

static void an_unknown_shell_is_refused(void **state)
{
    program p = {0};
    program_run(&p, "completion", "tcsh");
    program_refused(&p, 2, "completion", "bash|zsh|fish");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bash_registers_it), cmocka_unit_test(verbs_and_aliases_are_offered), cmocka_unit_test(own_flags_come_for_the_verb_alone),
        cmocka_unit_test(keys_are_flags_where_a_verb_takes_them), cmocka_unit_test(a_choice_offers_its_values), cmocka_unit_test(paths_are_told_apart),
        cmocka_unit_test(names_are_taken_as_they_are),
        cmocka_unit_test(a_switch_takes_no_value), cmocka_unit_test(every_shell_gets_every_verb), cmocka_unit_test(other_shells_read_theirs),
        cmocka_unit_test(an_unknown_shell_is_refused),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
