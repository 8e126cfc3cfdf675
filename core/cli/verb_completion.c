// PROGRAM completion: the script that completes the command lines of the program that runs.

#include "cli/completion.h"
#include "cli/print.h"
#include "cli/program.h"
#include "cli/verbs.h"

static ft_status run(ft_invocation *in)
{
    const ft_shell *shell = in->positional.n == 1 ? ft_shell_find(in->positional.items[0]) : NULL;
    if (shell == NULL) return ft_error(FT_E_USAGE, "completion: name a shell, one of %s", in->verb->synopsis);
    ft_text script = {0};
    return ft_print_text(shell->write(ft_program_name(), ft_program_verbs(), &script), &script, stdout);
}

const ft_verb ft_verb_completion = {"completion", NULL, "bash|zsh|fish", "print the completion script of a shell", NULL, false, run, 1};
