// parquet: the columns of a row are the fields of a record; its "line" is the row's number, from 1.
#include <string.h>

#include "data/data_files.h"
#include "data/readers.h"
#include "io/parquet.h"

static bool matches(const char *path)
{
    const char *kind = ft_data_file_kind(path);
    return kind != NULL && strcmp(kind, ".parquet") == 0;
}

static ft_status read_rows(ft_parquet *file, const char *path, ft_record_visit visit, void *context)
{
    for (int64_t row = 1;; row++) {
        json_t *record;
        FT_TRY(ft_parquet_next(file, &record));
        if (record == NULL) return FT_OK;
        ft_status status = visit(context, record, path, row);
        json_decref(record);
        FT_TRY(status);
    }
}

static ft_status read_parquet(const char *path, ft_record_visit visit, void *context)
{
    ft_parquet *file;
    FT_TRY(ft_parquet_open(&file, path));
    ft_status status = read_rows(file, path, visit, context);
    ft_parquet_close(file);
    return status;
}

const ft_record_reader ft_reader_parquet = {.name = "parquet", .matches = matches, .read = read_parquet};
