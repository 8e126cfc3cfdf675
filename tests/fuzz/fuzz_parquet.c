// Parquet files, footer to rows. Rows are read until the first error, at most a few thousand.
#include "fuzz/fuzz.h"
#include "io/parquet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ft_parquet *file;
    json_t *row = NULL;
    if (ft_parquet_open_memory(&file, data, size, "fuzz") != FT_OK) return 0;
    int64_t rows = 0, stated = ft_parquet_rows(file);
    ft_status status = FT_OK;
    while (rows < 4096 && (status = ft_parquet_next(file, &row)) == FT_OK && row != NULL) {
        FUZZ_CHECK(json_is_object(row));
        json_decref(row);
        rows++;
    }
    FUZZ_CHECK(rows <= stated);
    if (status == FT_OK && row == NULL) FUZZ_CHECK(rows == stated);
    ft_parquet_close(file);
    return 0;
}
