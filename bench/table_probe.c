// ft-bench table: the JSON files of bench/results as the tables of BENCHMARKS.md.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/probes.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

// "1.23" or an empty cell for null.
static void print_number(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);
    if (json_is_number(number)) printf(" %.4g |", json_number_value(number));
    else printf(" |");
}

static void print_row(const json_t *result)
{
    printf("| %s | %.4g %s | %s |", text_of(result, "name"), json_number_value(json_object_get(result, "value")), text_of(result, "unit"), text_of(result, "peer_name"));
    print_number(result, "peer_value");
    print_number(result, "ratio_peer");
    printf(" %s |", text_of(result, "bound_name"));
    print_number(result, "bound");
    print_number(result, "ratio_bound");
    printf("\n");
}

// All results of one file come from one run: machine, date and command stand above their table.
static ft_status print_file(const char *path)
{
    json_error_t error;
    json_t *results = json_load_file(path, 0, &error), *first = json_array_get(results, 0);
    if (first == NULL) {
        if (results) json_decref(results);
        return ft_error(FT_E_INPUT, "%s:%d: not a list of results: %s", path, error.line, error.text);
    }
    printf("`%s`, %s, %s\n\n", text_of(first, "command"), text_of(first, "machine"), text_of(first, "date"));
    printf("| what | value | peer | peer's value | ratio | limit | limit's value | ratio |\n|---|---|---|---|---|---|---|---|\n");
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result) print_row(result);
    printf("\n");
    json_decref(results);
    return FT_OK;
}

ft_status ft_bench_table(const char *const *paths, int n)
{
    if (n == 0) return ft_error(FT_E_USAGE, "ft-bench table: give the result files, bench/results/*.json");
    for (int i = 0; i < n; i++) FT_TRY(print_file(paths[i]));
    return FT_OK;
}
