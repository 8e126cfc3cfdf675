#include "data/readers.h"

const ft_record_reader *const ft_record_readers[] = {&ft_reader_jsonl, &ft_reader_json, &ft_reader_parquet, NULL};

const ft_record_reader *ft_record_reader_find(const char *path)
{
    for (int i = 0; ft_record_readers[i] != NULL; i++) {
        if (ft_record_readers[i]->matches(path)) return ft_record_readers[i];
    }
    return NULL;
}
