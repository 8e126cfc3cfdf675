// JSONL records: reading, and every record format that takes the record for its own.
#include "common/threads.h"
#include "data/dataset.h"
#include "data/readers.h"
#include "fuzz/fuzz.h"

static ft_status try_formats(void *context, const json_t *record, const char *path, int64_t line)
{
    const ft_config *run = context;
    ft_dataset_config dataset = {.path = (char *)path, .weight = 1};
    FUZZ_CHECK(json_is_object(record) && line > 0);
    for (const ft_record_format *const *format = ft_record_formats; *format != NULL; format++) {
        ft_segments segments = {0};
        int sure = (*format)->detect(record, &dataset);
        FUZZ_CHECK(sure >= 0 && sure <= 100);
        if ((*format)->parse(record, &dataset, run, &segments) == FT_OK) {
            for (int i = 0; i < segments.n; i++) FUZZ_CHECK(segments.items[i].text != NULL || segments.items[i].ids != NULL || segments.items[i].n_ids == 0);
        }
        ft_segments_clear(&segments);
    }
    return FT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started) FUZZ_CHECK(ft_threads_init(1) == FT_OK);
    started = true;
    ft_config run = {.sequence_len = 64, .excess_length_strategy = "drop"};
    (void)ft_reader_jsonl.read(fuzz_file(data, size), try_formats, &run);
    return 0;
}
