// config.json as a JSON object, and typed access to its members, with errors that name file and field. A null member counts as absent.
#ifndef FT_ARCH_CONFIG_FIELDS_H
#define FT_ARCH_CONFIG_FIELDS_H

#include <jansson.h>

#include "common/status.h"

typedef struct {
    const json_t *object;  // NULL reads as empty
    const char *path;      // file, for messages
    const char *prefix;    // "" or "rope_scaling."
} ft_fields;

// DIRECTORY/config.json: its path and text, heap. FT_E_INPUT if there is none.
ft_status ft_config_read(const char *directory, char **path, char **text);
// The object it is; a new reference. FT_E_INPUT with the line if it is none.
ft_status ft_config_parse(const char *text, const char *path, json_t **root);

const json_t *ft_field(const ft_fields *fields, const char *name);  // NULL if absent or null
// A whole number from 1 to 2^31 - 1. FT_E_INPUT if it is absent or anything else.
ft_status ft_field_count(const ft_fields *fields, const char *name, int64_t *value);
// The same; an absent field gives `fallback`.
ft_status ft_field_count_or(const ft_fields *fields, const char *name, int64_t fallback, int64_t *value);
// A number above 0.
ft_status ft_field_real(const ft_fields *fields, const char *name, double *value);
ft_status ft_field_real_or(const ft_fields *fields, const char *name, double fallback, double *value);
ft_status ft_field_bool_or(const ft_fields *fields, const char *name, bool fallback, bool *value);
// NULL if absent; valid as long as the object.
ft_status ft_field_text(const ft_fields *fields, const char *name, const char **value);
// A token id, or the first of a list of them; -1 if absent.
ft_status ft_field_token(const ft_fields *fields, const char *name, int32_t *value);

#endif
