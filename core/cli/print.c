#include "cli/print.h"

ft_status ft_print_text(ft_status status, ft_text *text, FILE *stream)
{
    if (status == FT_OK) fputs(text->data, stream);
    ft_text_free(text);
    return status;
}

ft_status ft_print_json(json_t *json)
{
    if (json == NULL) return ft_error(FT_E_NOMEM, "out of memory");
    json_dumpf(json, stdout, JSON_INDENT(1));
    printf("\n");
    json_decref(json);
    return FT_OK;
}
