#include "cli/verbs.h"

extern const ft_verb ft_verb_train, ft_verb_plan, ft_verb_info, ft_verb_download, ft_verb_prepare, ft_verb_store, ft_verb_verify,
    ft_verb_data, ft_verb_eval, ft_verb_generate, ft_verb_merge, ft_verb_import, ft_verb_serve_check, ft_verb_report, ft_verb_doctor;

const ft_verb *const ft_verbs[] = {
    &ft_verb_train,  &ft_verb_plan,   &ft_verb_info,        &ft_verb_download, &ft_verb_prepare, &ft_verb_store,
    &ft_verb_verify, &ft_verb_data,   &ft_verb_eval,        &ft_verb_generate, &ft_verb_merge,   &ft_verb_import,
    &ft_verb_serve_check, &ft_verb_report, &ft_verb_doctor, &ft_verb_completion, NULL};
