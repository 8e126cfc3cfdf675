#include "cli/program.h"

#include <stdio.h>
#include <string.h>

#include "cli/manual.h"
#include "cli/print.h"
#include "cli/signals.h"
#include "cli/version.h"

static const char *program_name;
static const ft_verb *const *program_verbs;

const char *ft_program_name(void)
{
    return program_name;
}

const ft_verb *const *ft_program_verbs(void)
{
    return program_verbs;
}

static int fail(ft_status status)
{
    fprintf(stderr, "%s: %s\n", program_name, ft_error_message());
    return ft_status_exit_code(status);
}

static int print(ft_status status, ft_text *text, FILE *stream)
{
    return ft_print_text(status, text, stream) == FT_OK ? 0 : fail(status);
}

static int help_of(const ft_verb *verb)
{
    ft_text text = {0};
    return print(ft_verb_help(program_name, verb, &text), &text, stdout);
}

static int run_verb(const ft_verb *verb, int argc, char **argv)
{
    ft_invocation invocation;
    ft_status status = ft_args_parse(&invocation, verb, argc, argv);
    int code;
    if (status != FT_OK) {
        code = fail(status);
    } else if (invocation.help) {
        code = help_of(verb);
    } else {
        status = verb->run(&invocation);
        code = status == FT_OK ? 0 : fail(status);
    }
    ft_args_free(&invocation);
    return code;
}

static bool asks_for_version(const char *argument)
{
    return strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0 || strcmp(argument, "version") == 0;
}

static bool asks_for_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0 || strcmp(argument, "help") == 0;
}

// For the build, which installs the pages; no help names it.
static int write_manual(int argc, char **argv)
{
    ft_status status = argc == 3 ? ft_manual_write(program_name, program_verbs, argv[2]) : ft_error(FT_E_USAGE, "--manual: give the directory to write the pages to");
    return status == FT_OK ? 0 : fail(status);
}

int ft_program_main(const char *name, const ft_verb *const *verbs, int argc, char **argv)
{
    program_name = name;
    program_verbs = verbs;
    ft_signals_install();
    if (argc < 2 || asks_for_help(argv[1])) {
        const ft_verb *asked;
        if (argc > 2) return ft_verb_find(&asked, verbs, argv[2]) == FT_OK ? help_of(asked) : fail(FT_E_USAGE);
        ft_text text = {0};
        int code = print(ft_verbs_help(name, verbs, &text), &text, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : code;
    }
    if (asks_for_version(argv[1])) {
        ft_text text = {0};
        return print(ft_version(&text), &text, stdout);
    }
    if (strcmp(argv[1], "--manual") == 0) return write_manual(argc, argv);
    const ft_verb *verb;
    ft_status status = ft_verb_find(&verb, verbs, argv[1]);
    if (status != FT_OK) return fail(status);
    return run_verb(verb, argc - 2, argv + 2);
}
