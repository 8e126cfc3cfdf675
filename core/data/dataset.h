// Datasets: records -> segments -> tokens -> packed micro-batches.
//
//   reader (jsonl, parquet, ...)    file -> records
//   record format (alpaca, ...)     record -> segments {text, train}, or the messages of a conversation
//                                                                            one row of ft_record_formats each
//   chat template                   messages -> one text (templates.h)
//   tokenize                        segments or text -> input_ids, labels (-100 where not trained)
//   pack                            samples -> rows of exactly sequence_len slots
// Labels are aligned with input_ids (Hugging Face convention): position t is predicted from t-1, so labels[0] of a sample
// never counts. All of it runs on the CPU before a device is touched.
#ifndef FT_DATA_DATASET_H
#define FT_DATA_DATASET_H

#include <jansson.h>

#include "common/config.h"
#include "data/templates.h"

#define FT_LABEL_IGNORE (-100)

// What a record format produces for one record. Each segment is tokenized by itself: no token spans the border between what is
// trained and what is not.
typedef struct {
    char *text;         // heap; NULL for ready ids
    size_t bytes;       // of text, which may hold NULs
    int32_t *ids;       // heap; used when text is NULL
    int32_t *labels;    // heap or NULL (with ids): explicit labels
    int64_t n_ids;
    bool train;
    bool special;       // special-token text inside `text` is meant as such
} ft_segment;

// One message of a conversation. Which are trained is settled when it is encoded (encode.h).
typedef struct {
    ft_speaker speaker;
    char *text;         // heap
    size_t bytes;
    int train;          // 1, 0: the record says so; -1: it says nothing
} ft_turn;

typedef struct {
    ft_segment *items;
    int n, capacity;
    bool add_bos, add_eos;  // put BOS first (if the tokenizer adds one) / a trained EOS last
    int answer;             // the segment at which the answer to a prompt begins; 0 = the record is not of these two parts
    ft_turn *turns;         // in place of segments: a conversation, which a chat template renders
    int n_turns, turns_capacity;
} ft_segments;

// Both take over the heap members of what is added, also on failure.
ft_status ft_segments_add(ft_segments *segments, ft_segment segment);
ft_status ft_segments_add_turn(ft_segments *segments, ft_turn turn);
void ft_segments_clear(ft_segments *segments);  // frees everything

// A record format: one row, one file. parse is called by several threads at once.
typedef struct {
    const char *name;           // the `type:` of a dataset
    const char *aliases;        // other names of it, "a,b" or NULL
    // NULL-terminated names of the keys it reads: those of a dataset ("field_output"), others are refused; those of a run
    // ("source_max_len"), which are refused if no dataset of the run reads them. What all conversations read is not listed.
    const char *const *fields;
    // How sure it is that `record` is of this format: 0 no .. 100 certain (for datasets without a type).
    int (*detect)(const json_t *record, const ft_dataset_config *config);
    // Whether its records are conversations, for a chat template to render. NULL: never.
    bool (*chats)(const ft_dataset_config *config, const ft_config *run);
    // FT_E_INPUT with what is missing ("no 'output'"); the caller adds file and line.
    ft_status (*parse)(const json_t *record, const ft_dataset_config *config, const ft_config *run, ft_segments *segments);
} ft_record_format;

extern const ft_record_format *const ft_record_formats[];  // NULL-terminated
const ft_record_format *ft_record_format_find(const char *name);  // by name or alias, NULL if unknown

// A record reader: one row, one file. Streams records of a file with their line numbers, in bounded memory. A record that is
// not a JSON object is FT_E_INPUT "FILE:LINE: ...". A failing visit ends the reading with its status.
// `path` is the one that was given to read.
typedef ft_status (*ft_record_visit)(void *context, const json_t *record, const char *path, int64_t line);
typedef struct {
    const char *name;
    bool (*matches)(const char *path);
    ft_status (*read)(const char *path, ft_record_visit visit, void *context);
} ft_record_reader;
extern const ft_record_reader *const ft_record_readers[];  // NULL-terminated
const ft_record_reader *ft_record_reader_find(const char *path);  // NULL if no reader takes the file

// Tokenized samples, flat.
typedef struct {
    int32_t *ids, *labels;   // all samples, one after the other
    int64_t *begin;          // [n + 1]
    int32_t *source;         // [n] index of the dataset
    int64_t n, capacity, tokens, tokens_capacity;
    double *weights;         // [n_weights] of the datasets, by source; NULL = all 1. Only ft_pack heeds them
    int32_t n_weights;
} ft_samples;
void ft_samples_free(ft_samples *samples);

// What became of the records. Printed as a table by ft_data_report_print.
typedef struct {
    int64_t records;             // records + more_pieces = kept + dropped_*
    int64_t kept;                // samples
    int64_t dropped_long;        // longer than sequence_len, excess_length_strategy drop
    int64_t dropped_untrained;   // no label that counts
    int64_t dropped_short;       // fewer than two tokens: nothing to predict
    int64_t truncated;           // records of which source_max_len, target_max_len or sequence_len cut something off
    int64_t tokens, trainable_tokens;  // of kept samples
    int64_t truncated_tokens;    // cut off
    int64_t longest;             // tokens of the longest record, dropped ones included
    int64_t split;               // records cut into pieces, excess_length_strategy split
    int64_t more_pieces;         // pieces of those records beyond the first of each
} ft_data_counts;
void ft_data_counts_add(ft_data_counts *sum, const ft_data_counts *counts);

typedef struct {
    ft_samples train, eval;
    ft_data_counts *counts;      // one per dataset (train list, then test list)
    char **names;                // path and detected type, parallel to counts
    int n_counts;
} ft_dataset;
// The format in names[i], given or detected: "alpaca", `*bytes` long.
const char *ft_dataset_format_name(const ft_dataset *dataset, int i, size_t *bytes);

// Reads, detects, tokenizes (in parallel, with progress), brings to sequence_len, splits off the eval set (val_set_size,
// deterministic in `seed`) or reads test_datasets. Hard checks: at most one BOS and only at position 0 (where the tokenizer
// adds one), the closing tokens trained that should be, at least one trainable token in the training set. FT_E_INPUT names file
// and line of a bad record; keys without effect on the formats at hand are FT_E_UNSUPPORTED. `tokenizer` may be NULL if every
// dataset holds ready tokens. With dataset_prepared_path the result is kept there and reused as long as nothing that decides it
// changes (prepared.h). On failure the dataset is empty.
//
// Longer than sequence_len (excess_length_strategy): drop leaves the record out, truncate keeps its first tokens, split makes
// every sequence_len tokens a sample of its own, of which those without a trained token are dropped; as in any sample, the first
// token of a piece is not trained. Before that source_max_len keeps the last tokens of what comes before the answer (and a BOS in
// front), target_max_len the first ones of the answer. In a conversation the answer is the last trained turn with all that
// follows it.
ft_status ft_dataset_load(ft_dataset *dataset, const ft_config *config, const ft_tokenizer *tokenizer);
void ft_dataset_free(ft_dataset *dataset);
ft_status ft_data_report_print(const ft_dataset *dataset, ft_text *out);

// Rows of exactly sequence_len slots. A row holds whole samples (documents); what is left over is one masked document.
// First-fit decreasing within bounded windows of the epoch's shuffled order; with `shuffle` the rows are then shuffled too, so
// that long documents do not come first. A pack depends on (seed, epoch, samples) only. packing = false: one sample per row.
// A dataset of weight w has w times its samples in an epoch: each floor(w) times, and one part of them once more. Which part
// follows from the seed and moves on from epoch to epoch: with weight 0.5 two epochs show every sample once. Without `shuffle`
// the parts are taken in the order of the samples. FT_E_INPUT for a sample longer than sequence_len.
typedef struct {
    int64_t *sample;        // samples of all rows, one after the other; with weights one may come several times or never
    int64_t *row_begin;     // [n_rows + 1]
    int64_t n_rows;
} ft_packs;
ft_status ft_pack(ft_packs *packs, const ft_samples *samples, int64_t sequence_len, bool packing, bool shuffle, uint64_t seed,
                  uint32_t epoch);
void ft_packs_free(ft_packs *packs);
// The most documents a row of any epoch may hold, the masked rest of the row included.
ft_status ft_pack_most_documents(const ft_samples *samples, int64_t sequence_len, bool packing, int64_t *most);

// One micro-batch: `rows` rows flattened to tokens = rows * sequence_len slots. Arrays are the caller's, sized once.
typedef struct {
    int64_t tokens;          // slots
    int32_t *ids;            // [tokens]; pad id in unused slots
    int32_t *labels;         // [tokens]; FT_LABEL_IGNORE where not trained; labels[first slot of a document] is IGNORE
    int32_t *positions;      // [tokens]; 0.. within each document
    int32_t *doc_begin;      // [n_docs + 1]; slot where each document starts, doc_begin[n_docs] = tokens
    int32_t n_docs;
    int64_t trainable;       // labels that count
    int64_t real;            // slots that hold sample tokens
    int64_t token_base;      // index of slot 0 in the optimizer step (RNG key of dropout)
} ft_batch;
ft_status ft_batch_alloc(ft_batch *batch, int64_t tokens);
void ft_batch_free(ft_batch *batch);
// Fills the batch with rows [first_row, first_row + rows) of the packs; rows past the end are one masked document each.
void ft_batch_fill(ft_batch *batch, const ft_samples *samples, const ft_packs *packs, int64_t first_row, int64_t rows,
                   int64_t sequence_len, int32_t pad_id, int64_t token_base);

#endif
