// ft-single doctor.
#include "cli/verbs.h"

static ft_status run(ft_invocation *in)
{
    return ft_error(FT_E_UNSUPPORTED, "%s: not there yet", in->verb->name);
}

const ft_verb ft_verb_doctor = {"doctor", NULL, "", "not there yet", NULL, false, run, 8};
