// The version of ft-single and of every library it runs with.
#ifndef FT_CLI_VERSION_H
#define FT_CLI_VERSION_H

#include "common/text.h"

ft_status ft_version(ft_text *out);

#endif
