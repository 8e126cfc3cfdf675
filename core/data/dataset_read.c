// Records come one by one from the reader and are encoded a batch at a time, in parallel; results are taken in file order, so
// the samples and the first error do not depend on threads.
#include "data/dataset_read.h"

#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/threads.h"
#include "data/dataset_check.h"
#include "data/encode.h"
#include "data/samples.h"

#define BATCH 2048
#define GRAIN 8

typedef struct {
    json_t *record;
    int64_t line;
    ft_encoded encoded;
    ft_status status;
    char message[FT_ERROR_MESSAGE_BYTES];
} batch_item;

typedef struct {
    const ft_dataset_config *dataset;
    const ft_config *run;
    const ft_tokenizer *tokenizer;
    const ft_record_format *format;   // NULL before the first record
    bool detected, truncate, enough;
    int32_t source;
    ft_samples *samples;
    ft_data_counts *counts;
    int64_t visited;
    batch_item *items;
    int n;
    ft_progress progress;
} dataset_reading;

static void encode_range(void *context, int64_t begin, int64_t end)
{
    dataset_reading *r = context;
    for (int64_t i = begin; i < end; i++) {
        batch_item *item = &r->items[i];
        item->status = ft_encode_record(r->format, item->record, r->dataset, r->run, r->tokenizer, &item->encoded);
        if (item->status != FT_OK) snprintf(item->message, sizeof item->message, "%s", ft_error_message());
    }
}

// Keeps a sample or counts why not.
static ft_status take_sample(dataset_reading *r, ft_encoded *encoded)
{
    ft_data_counts *counts = r->counts;
    int64_t n = encoded->ids.n, limit = r->run->sequence_len;
    if (n > counts->longest) counts->longest = n;
    if (n > limit && !r->truncate) {
        counts->dropped_long++;
        return FT_OK;
    }
    if (n < 2) {
        counts->dropped_short++;
        return FT_OK;
    }
    int64_t kept = n > limit ? limit : n;
    int64_t trainable = ft_labels_trainable(encoded->labels.items, kept);
    if (trainable == 0) {
        counts->dropped_untrained++;
        return FT_OK;
    }
    counts->kept++;
    counts->truncated += n > kept;
    counts->truncated_tokens += n - kept;
    counts->tokens += kept;
    counts->trainable_tokens += trainable;
    return ft_samples_add(r->samples, encoded->ids.items, encoded->labels.items, kept, r->source);
}

static ft_status take_item(dataset_reading *r, batch_item *item)
{
    if (item->status != FT_OK)
        return ft_error(item->status, "%s:%lld: %.900s", r->dataset->path, (long long)item->line, item->message);
    r->counts->records++;
    return take_sample(r, &item->encoded);
}

static ft_status flush(dataset_reading *r)
{
    ft_status status = FT_OK;
    ft_parallel_for(r->n, GRAIN, encode_range, r);
    for (int i = 0; i < r->n; i++) {
        batch_item *item = &r->items[i];
        if (status == FT_OK) status = take_item(r, item);
        json_decref(item->record);
        ft_encoded_free(&item->encoded);
    }
    r->n = 0;
    ft_progress_update(&r->progress, (double)r->counts->records);
    return status;
}

static ft_status choose_format(dataset_reading *r, const json_t *record)
{
    FT_TRY(ft_dataset_format(r->dataset, record, &r->format, &r->detected));
    return ft_dataset_check_fields(r->dataset, r->format);
}

static ft_status visit(void *context, const json_t *record, const char *path, int64_t line)
{
    dataset_reading *r = context;
    if (r->format == NULL) {
        ft_status status = choose_format(r, record);
        if (status != FT_OK) return ft_error_prefix(status, "%s:%lld", path, (long long)line);
    }
    r->items[r->n++] = (batch_item){.record = json_incref((json_t *)record), .line = line};
    r->visited++;
    if (r->n == BATCH) FT_TRY(flush(r));
    r->enough = r->dataset->max_samples > 0 && r->visited >= r->dataset->max_samples;
    return r->enough ? FT_E_STOPPED : FT_OK;
}

// A named type is settled before the file is opened; a detected one at the first record.
static ft_status read_file(dataset_reading *r, const ft_record_reader *reader)
{
    if (r->dataset->type != NULL) FT_TRY(choose_format(r, NULL));
    ft_progress_begin(&r->progress, "tokenizing", "records", (double)r->dataset->max_samples);
    ft_status status = reader->read(r->dataset->path, visit, r);
    if (status == FT_E_STOPPED && r->enough) status = FT_OK;
    // A bad record further on does not hide one in the batch at hand: the first line is reported.
    char message[FT_ERROR_MESSAGE_BYTES];
    snprintf(message, sizeof message, "%s", ft_error_message());
    ft_status flushed = flush(r);
    ft_progress_end(&r->progress);
    if (flushed != FT_OK) return flushed;
    return status == FT_OK ? FT_OK : ft_error_adopt(status, message);
}

static ft_status describe(const dataset_reading *r, char **name)
{
    if (r->counts->records == 0) return ft_error(FT_E_INPUT, "%s: no records", r->dataset->path);
    *name = ft_format("%s (%s%s)", r->dataset->path, r->format->name, r->detected ? ", detected" : "");
    FT_ALLOC_CHECK(*name);
    return FT_OK;
}

ft_status ft_dataset_read(const ft_dataset_config *dataset, const ft_config *run, const ft_tokenizer *tokenizer, int32_t source,
                          ft_samples *samples, ft_data_counts *counts, char **name)
{
    const ft_record_reader *reader;
    const char *strategy = run->excess_length_strategy;
    dataset_reading r = {
        .dataset = dataset, .run = run, .tokenizer = tokenizer, .source = source, .samples = samples, .counts = counts};
    *name = NULL;
    r.truncate = strategy != NULL && strcmp(strategy, "truncate") == 0;
    FT_TRY(ft_dataset_check(dataset, &reader));
    r.items = FT_NEW_ARRAY(batch_item, BATCH);
    FT_ALLOC_CHECK(r.items);
    ft_status status = read_file(&r, reader);
    if (status == FT_OK) status = describe(&r, name);
    ft_free(r.items);
    return status;
}
