// Writes man(7): the few macros our pages are made of. Text is plain and is escaped here: a backslash, a leading dot, quotes and
// dashes come out as they went in, so that a command can be copied from the page. Every function appends to `out` and returns
// FT_E_NOMEM only.
#ifndef FT_CLI_MANUAL_ROFF_H
#define FT_CLI_MANUAL_ROFF_H

#include "common/text.h"

// The head of a page: `.TH` with version and date of the release, then NAME. Words are not broken, so
// that names can be searched for. `name`: "ft-single-train".
ft_status ft_roff_page(ft_text *out, const char *name, int section, const char *summary);
ft_status ft_roff_section(ft_text *out, const char *title);
ft_status ft_roff_subsection(ft_text *out, const char *title);
ft_status ft_roff_paragraph(ft_text *out, const char *text);
// A line of SYNOPSIS: the command bold, the rest plain.
ft_status ft_roff_synopsis(ft_text *out, const char *command, const char *rest);
// A term with its explanation: `name` bold, `argument` (NULL = none) slanted behind it.
ft_status ft_roff_item(ft_text *out, const char *name, const char *argument, const char *about);
ft_status ft_roff_example(ft_text *out, const char *about, const char *command);
// A line of SEE ALSO: "ft-single-train(1)", with a comma unless it is the last.
ft_status ft_roff_reference(ft_text *out, const char *name, int section, bool last);

#endif
