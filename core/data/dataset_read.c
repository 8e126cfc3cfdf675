// Records come one by one from the reader and are encoded a batch at a time, in parallel; results are taken in file order, so
// the samples and the first error do not depend on threads.
#include "data/dataset_read.h"

#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/threads.h"
#include "data/encode.h"
#include "data/samples.h"

#define BATCH 2048
#define GRAIN 8

typedef struct {
    json_t *record;
    const char *path;  // of its file; the list's
    int64_t line;
    ft_encoded encoded;
    ft_status status;
    char message[FT_ERROR_MESSAGE_BYTES];
} batch_item;

typedef enum { TOO_LONG_DROP, TOO_LONG_TRUNCATE, TOO_LONG_SPLIT } too_long;

typedef struct {
    const ft_dataset_config *dataset;
    const ft_config *run;
    const ft_tokenizer *tokenizer;
    const ft_record_format *format;   // NULL before the first record
    ft_encoder encoder;
    bool enough;
    too_long strategy;
    int32_t source;
    ft_samples *samples;
    ft_data_counts *counts;
    ft_run_keys *read;
    batch_item *items;
    int n;
    ft_progress progress;
} dataset_reading;

static void encode_range(void *context, int64_t begin, int64_t end)
{
    dataset_reading *r = context;
    for (int64_t i = begin; i < end; i++) {
        batch_item *item = &r->items[i];
        item->status = ft_encode_record(&r->encoder, item->record, &item->encoded);
        if (item->status != FT_OK) snprintf(item->message, sizeof item->message, "%s", ft_error_message());
    }
}

// Keeps tokens [begin, end) as a sample or counts why not.
static ft_status take_piece(dataset_reading *r, const ft_encoded *encoded, int64_t begin, int64_t end)
{
    ft_data_counts *counts = r->counts;
    const int32_t *labels = encoded->labels.items + begin;
    int64_t n = end - begin;
    if (n < 2) {
        counts->dropped_short++;
        return FT_OK;
    }
    int64_t trainable = ft_labels_trainable(labels, n);
    if (trainable == 0) {
        counts->dropped_untrained++;
        return FT_OK;
    }
    counts->kept++;
    counts->tokens += n;
    counts->trainable_tokens += trainable;
    return ft_samples_add(r->samples, encoded->ids.items + begin, labels, n, r->source);
}

static ft_status take_pieces(dataset_reading *r, const ft_encoded *encoded, int64_t limit)
{
    int64_t n = encoded->ids.n;
    r->counts->split++;
    r->counts->more_pieces += (n - 1) / limit;
    for (int64_t begin = 0; begin < n; begin += limit) FT_TRY(take_piece(r, encoded, begin, begin + limit < n ? begin + limit : n));
    return FT_OK;
}

static ft_status take_sample(dataset_reading *r, const ft_encoded *encoded)
{
    ft_data_counts *counts = r->counts;
    int64_t n = encoded->ids.n, limit = r->run->sequence_len, cut = encoded->cut;
    if (n > counts->longest) counts->longest = n;
    if (n > limit && r->strategy == TOO_LONG_DROP) {
        counts->dropped_long++;
        return FT_OK;
    }
    if (n > limit && r->strategy == TOO_LONG_TRUNCATE) {
        cut += n - limit;
        n = limit;
    }
    int64_t kept = counts->kept;
    FT_TRY(n > limit ? take_pieces(r, encoded, limit) : take_piece(r, encoded, 0, n));
    if (counts->kept == kept) return FT_OK;
    counts->truncated += cut > 0;
    counts->truncated_tokens += cut;
    return FT_OK;
}

static ft_status take_item(dataset_reading *r, batch_item *item)
{
    if (item->status != FT_OK) return ft_error(item->status, "%s:%lld: %.900s", item->path, (long long)item->line, item->message);
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
    const ft_record_format *format;
    FT_TRY(ft_dataset_format(r->dataset, record, &format));
    FT_TRY(ft_dataset_check_fields(r->dataset, r->run, format));
    FT_TRY(ft_encoder_init(&r->encoder, format, r->dataset, r->run, r->tokenizer));
    r->format = format;
    *r->read |= ft_run_keys_read(format, r->dataset, r->run);
    return FT_OK;
}

static ft_status visit(void *context, const json_t *record, const char *path, int64_t line)
{
    dataset_reading *r = context;
    if (r->format == NULL) {
        ft_status status = choose_format(r, record);
        if (status != FT_OK) return ft_error_prefix(status, "%s:%lld", path, (long long)line);
    }
    r->items[r->n++] = (batch_item){.record = json_incref((json_t *)record), .path = path, .line = line};
    if (r->n == BATCH) FT_TRY(flush(r));
    r->enough = r->dataset->max_samples > 0 && r->counts->records + r->n >= r->dataset->max_samples;
    return r->enough ? FT_E_STOPPED : FT_OK;
}

static ft_status read_each(dataset_reading *r, const ft_string_list *files)
{
    for (int i = 0; i < files->n && !r->enough; i++) {
        const char *path = files->items[i];
        ft_status status = ft_record_reader_find(path)->read(path, visit, r);
        if (status != FT_OK && !(status == FT_E_STOPPED && r->enough)) return status;
    }
    return FT_OK;
}

// A named type is settled before the first file is opened; a detected one at the first record.
static ft_status read_files(dataset_reading *r, const ft_string_list *files)
{
    if (r->dataset->type != NULL) FT_TRY(choose_format(r, NULL));
    ft_progress_begin(&r->progress, "tokenizing", "records", (double)r->dataset->max_samples);
    ft_status status = read_each(r, files);
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
    *name = ft_format("%s (%s%s)", r->dataset->path, r->format->name, r->dataset->type ? "" : ", detected");
    FT_ALLOC_CHECK(*name);
    return FT_OK;
}

const char *ft_dataset_format_name(const ft_dataset *dataset, int i, size_t *bytes)
{
    const char *format = strrchr(dataset->names[i], '(') + 1;  // describe() wrote it
    *bytes = strcspn(format, ",)");
    return format;
}

static too_long strategy_of(const ft_config *run)
{
    const char *name = run->excess_length_strategy ? run->excess_length_strategy : "drop";
    if (strcmp(name, "truncate") == 0) return TOO_LONG_TRUNCATE;
    return strcmp(name, "split") == 0 ? TOO_LONG_SPLIT : TOO_LONG_DROP;
}

ft_status ft_dataset_read(const ft_dataset_config *dataset, const ft_config *run, const ft_tokenizer *tokenizer, int32_t source,
                          ft_samples *samples, ft_data_counts *counts, char **name, ft_run_keys *read)
{
    dataset_reading r = {.dataset = dataset, .run = run,         .tokenizer = tokenizer, .strategy = strategy_of(run),
                         .source = source,   .samples = samples, .counts = counts,       .read = read};
    ft_string_list files = {0};
    *name = NULL;
    ft_status status = ft_dataset_files(dataset, &files);
    if (status == FT_OK) {
        r.items = FT_NEW_ARRAY(batch_item, BATCH);
        status = r.items ? read_files(&r, &files) : FT_E_NOMEM;
    }
    if (status == FT_OK) status = describe(&r, name);
    ft_free(r.items);
    ft_string_list_free(&files);
    return status;
}
