// The files of core/report/page/, compiled in by embed.cmake in the order of CMakeLists.txt.
#ifndef FT_REPORT_PAGE_ASSETS_H
#define FT_REPORT_PAGE_ASSETS_H

#include <stddef.h>

typedef struct {
    const char *name;  // NULL ends the table
    const char *text;  // NUL-terminated
    size_t bytes;
} ft_page_asset;

extern const ft_page_asset ft_page_assets[];

#endif
