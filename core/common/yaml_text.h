// What readers of YAML share: bytes that are refused before the parser sees them, and its errors as a line of ours.
#ifndef FT_COMMON_YAML_TEXT_H
#define FT_COMMON_YAML_TEXT_H

#include <libfyaml.h>

#include "common/status.h"

// FT_E_USAGE names path and line of a byte that no YAML file is made of.
ft_status ft_yaml_check_bytes(const char *path, const char *text, size_t bytes);
// Collects errors and prints none; NULL when out of memory. For fy_parse_cfg with FYPCF_QUIET | FYPCF_COLLECT_DIAG; destroyed by the
// caller.
struct fy_diag *ft_yaml_diag(void);
// FT_E_USAGE: path, line and what the first error collected says.
ft_status ft_yaml_error(struct fy_diag *diag, const char *path);

#endif
