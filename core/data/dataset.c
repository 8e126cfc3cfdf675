#include "data/dataset.h"

#include <math.h>

#include "common/log.h"
#include "common/memory.h"
#include "data/dataset_check.h"
#include "data/dataset_read.h"
#include "data/prepared.h"
#include "data/samples.h"

// All files before the first is tokenized: a wrong name in the last one should not take an hour to show.
static ft_status check_list(const ft_dataset_list *list)
{
    for (int i = 0; i < list->n; i++) {
        ft_string_list files = {0};
        ft_status status = ft_dataset_files(&list->items[i], &files);
        ft_string_list_free(&files);
        FT_TRY(status);
    }
    return FT_OK;
}

// Evaluation shows every sample once.
static ft_status check_weights(const ft_config *config)
{
    for (int i = 0; i < config->test_datasets.n; i++) {
        const ft_dataset_config *dataset = &config->test_datasets.items[i];
        if (dataset->weight != 1)
            return ft_error(FT_E_UNSUPPORTED, "dataset %s: 'weight: %g' has no effect on test_datasets; remove it", dataset->path,
                            dataset->weight);
    }
    return FT_OK;
}

static ft_status check_config(const ft_config *config)
{
    if (config->datasets.n == 0) return ft_error(FT_E_USAGE, "no data: set datasets in the config or --data FILE");
    if (config->sequence_len < 2)
        return ft_error(FT_E_USAGE, "sequence_len %lld: at least 2 tokens", (long long)config->sequence_len);
    if (config->val_set_size >= 1 && config->val_set_size != floor(config->val_set_size))
        return ft_error(FT_E_USAGE, "val_set_size %g: a fraction below 1, or a whole number of samples", config->val_set_size);
    if (config->val_set_size > 0 && config->test_datasets.n > 0) {
        return ft_error(FT_E_USAGE, "val_set_size and test_datasets are both set; remove one");
    }
    FT_TRY(check_weights(config));
    FT_TRY(check_list(&config->datasets));
    return check_list(&config->test_datasets);
}

static ft_status read_list(ft_dataset *dataset, const ft_dataset_list *list, const ft_config *config,
                           const ft_tokenizer *tokenizer, ft_samples *samples, ft_run_keys *read)
{
    for (int i = 0; i < list->n; i++) {
        int index = dataset->n_counts;
        FT_TRY(ft_dataset_read(&list->items[i], config, tokenizer, index, samples, &dataset->counts[index],
                               &dataset->names[index], read));
        dataset->n_counts++;
    }
    return FT_OK;
}

static ft_status split_eval(ft_dataset *dataset, const ft_config *config)
{
    double size = config->val_set_size;
    if (size <= 0) return FT_OK;
    int64_t count = size < 1 ? llround(size * (double)dataset->train.n) : (int64_t)size;
    if (count < 1) count = 1;
    if (count >= dataset->train.n) {
        return ft_error(FT_E_INPUT, "val_set_size %g leaves no training sample of %lld", size, (long long)dataset->train.n);
    }
    return ft_samples_move(&dataset->train, &dataset->eval, count, (uint64_t)config->seed);
}

// Every kept sample has a trainable token, so a list has one iff it has a sample.
static ft_status check_trainable(const ft_dataset *dataset, int first, const ft_samples *samples, const char *what,
                                 int64_t limit)
{
    ft_data_counts sum = {0};
    if (samples->n > 0) return FT_OK;
    for (int i = first; i < dataset->n_counts; i++) ft_data_counts_add(&sum, &dataset->counts[i]);
    return ft_error(FT_E_INPUT,
                    "nothing to %s: of %lld records %lld are longer than sequence_len %lld, %lld have no trainable token, %lld "
                    "fewer than two tokens%s",
                    what, (long long)sum.records, (long long)sum.dropped_long, (long long)limit,
                    (long long)sum.dropped_untrained, (long long)sum.dropped_short,
                    sum.dropped_long > 0 ? "; raise sequence_len, or set excess_length_strategy to truncate or split" : "");
}

static ft_status tokenize_all(ft_dataset *dataset, const ft_config *config, const ft_tokenizer *tokenizer)
{
    int n = config->datasets.n + config->test_datasets.n;
    dataset->counts = FT_NEW_ARRAY(ft_data_counts, n);
    dataset->names = FT_NEW_ARRAY(char *, n);
    if (dataset->counts == NULL || dataset->names == NULL) return FT_E_NOMEM;
    ft_run_keys read = 0;
    FT_TRY(read_list(dataset, &config->datasets, config, tokenizer, &dataset->train, &read));
    FT_TRY(check_trainable(dataset, 0, &dataset->train, "train on", config->sequence_len));
    FT_TRY(read_list(dataset, &config->test_datasets, config, tokenizer, &dataset->eval, &read));
    FT_TRY(ft_run_keys_check(config, read));
    if (config->test_datasets.n == 0) return split_eval(dataset, config);
    return check_trainable(dataset, config->datasets.n, &dataset->eval, "evaluate", config->sequence_len);
}

// With dataset_prepared_path: what an earlier run left there, or tokenize and leave it.
static ft_status load_samples(ft_dataset *dataset, const ft_config *config, const ft_tokenizer *tokenizer)
{
    const char *directory = config->dataset_prepared_path;
    ft_hash128 key;
    bool found;
    if (directory == NULL || *directory == 0) return tokenize_all(dataset, config, tokenizer);
    FT_TRY(ft_prepared_key(config, tokenizer, &key));
    FT_TRY(ft_prepared_read(directory, key, dataset, &found));
    if (found) {
        ft_info("tokens from %s", directory);
        return FT_OK;
    }
    FT_TRY(tokenize_all(dataset, config, tokenizer));
    return ft_prepared_write(directory, key, dataset);
}

// Weights decide what an epoch shows, not what the tokens are: they come from the configuration, prepared tokens or not.
static ft_status set_weights(ft_samples *samples, const ft_dataset_list *list)
{
    bool weighted = false;
    double sum = 0;
    for (int i = 0; i < list->n; i++) {
        weighted |= list->items[i].weight != 1;
        sum += list->items[i].weight;
    }
    if (!weighted) return FT_OK;
    if (!(sum > 0)) return ft_error(FT_E_USAGE, "datasets: every weight is 0; nothing to train on");
    samples->weights = FT_NEW_ARRAY(double, list->n);
    FT_ALLOC_CHECK(samples->weights);
    samples->n_weights = list->n;
    for (int i = 0; i < list->n; i++) samples->weights[i] = list->items[i].weight;
    return FT_OK;
}

static ft_status load(ft_dataset *dataset, const ft_config *config, const ft_tokenizer *tokenizer)
{
    FT_TRY(check_config(config));
    FT_TRY(load_samples(dataset, config, tokenizer));
    return set_weights(&dataset->train, &config->datasets);
}

ft_status ft_dataset_load(ft_dataset *dataset, const ft_config *config, const ft_tokenizer *tokenizer)
{
    *dataset = (ft_dataset){0};
    ft_status status = load(dataset, config, tokenizer);
    if (status != FT_OK) ft_dataset_free(dataset);
    return status;
}

void ft_dataset_free(ft_dataset *dataset)
{
    ft_samples_free(&dataset->train);
    ft_samples_free(&dataset->eval);
    for (int i = 0; i < dataset->n_counts; i++) ft_free(dataset->names[i]);
    ft_free(dataset->names);
    ft_free(dataset->counts);
    *dataset = (ft_dataset){0};
}
