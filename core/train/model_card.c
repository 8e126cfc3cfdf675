// Sections in their order: front matter, summary, use, training (data, adapter, settings, run, config).
#include "train/model_card.h"

#include <math.h>
#include <string.h>

#include "common/memory.h"
#include "common/shell_word.h"
#include "io/public_name.h"
#include "train/serve_check.h"

#define TRAINING "\n## Training\n"

// --- Front matter --------------------------------------------------------------------------------------------------------------
// Ids hold letters, digits and -_./ alone, but 3e5 and the like would be numbers: quoted.
static ft_status add_datasets(const ft_dataset_list *list, ft_text *out)
{
    const char *before = "datasets:\n";
    for (int i = 0; i < list->n; i++) {
        char *id = ft_public_id(list->items[i].path);
        if (id == NULL) continue;
        ft_status status = ft_text_printf(out, "%s- \"%s\"\n", before, id);
        ft_free(id);
        FT_TRY(status);
        before = "";
    }
    return FT_OK;
}

// What a base is to what was made of it: "adapter" or "finetune".
static ft_status add_base(const char *base, const char *relation, ft_text *out)
{
    char *id = ft_public_id(base);
    if (id == NULL) return FT_OK;
    ft_status status = ft_text_printf(out, "base_model: \"%s\"\nbase_model_relation: %s\n", id, relation);
    ft_free(id);
    return status;
}

static ft_status add_front(const char *base, const char *relation, const char *library, const ft_dataset_list *datasets, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "---\n"));
    FT_TRY(add_base(base, relation, out));
    FT_TRY(ft_text_printf(out, "library_name: %s\npipeline_tag: text-generation\ntags:\n- lora\n- ft-single\n", library));
    if (datasets) FT_TRY(add_datasets(datasets, out));
    return ft_text_puts(out, "---\n");
}

// --- Use -----------------------------------------------------------------------------------------------------------------------
static ft_status add_use(const char *directory, const char *name, const char *base, int64_t rank, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "\n## Use\n\nWith transformers%s:\n\n```python\n", base ? " and PEFT" : ""));
    FT_TRY(ft_serve_python(out, directory, base));
    FT_TRY(ft_text_puts(out, "```\n\nWith vLLM:\n\n```\n"));
    FT_TRY(ft_serve_command(out, directory, name, base, rank));
    return ft_text_puts(out, "\n```\n");
}

static ft_status add_merge(const char *directory, const char *base, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "\nAs one set of weights, for llama.cpp, Ollama and others:\n\n```\nft-single merge --model "));
    FT_TRY(ft_text_add_word(out, base));
    return ft_text_printf(out, " --adapter %s --output merged\n```\n", directory);
}

// --- Data ----------------------------------------------------------------------------------------------------------------------
static ft_status add_data_row(const ft_dataset_config *entry, const ft_dataset *data, int i, const char *use, ft_text *out)
{
    const ft_data_counts *counts = &data->counts[i];
    size_t bytes;
    const char *format = ft_dataset_format_name(data, i, &bytes);
    char *name = ft_public_name(entry->path);
    FT_ALLOC_CHECK(name);
    ft_status status = ft_text_printf(out, "| %s | %s | %.*s | %lld | %lld | %lld | %lld |\n", name, use, (int)bytes, format,
                                      (long long)counts->records, (long long)counts->kept, (long long)counts->tokens, (long long)counts->trainable_tokens);
    ft_free(name);
    return status;
}

static ft_status add_data(const ft_model_card *card, ft_text *out)
{
    const ft_config *config = &card->settings->values;
    FT_TRY(ft_text_puts(out, "\n### Data\n\n| data set | for | format | records | samples | tokens | trained tokens |\n|---|---|---|---|---|---|---|\n"));
    for (int i = 0; i < card->data->n_counts; i++) {
        bool train = i < config->datasets.n;
        const ft_dataset_config *entry = train ? &config->datasets.items[i] : &config->test_datasets.items[i - config->datasets.n];
        FT_TRY(add_data_row(entry, card->data, i, train ? "training" : "evaluation", out));
    }
    if (config->val_set_size > 0) return ft_text_printf(out, "\n%lld of the samples were set aside for evaluation.\n", (long long)card->data->eval.n);
    return FT_OK;
}

// --- Adapter -------------------------------------------------------------------------------------------------------------------
static int64_t parameters(const ft_adapter_layout *adapter)
{
    int64_t n = 0;
    for (int64_t t = 0; t < adapter->n_tensors; t++) n += adapter->tensor[t].rows * adapter->tensor[t].cols;
    return n;
}

static ft_status add_targets(const ft_adapter_layout *adapter, ft_text *out)
{
    const char *separator = "";
    for (int i = 0; i < FT_LINEAR_COUNT; i++) {
        if (!(adapter->targets & (1u << i))) continue;
        FT_TRY(ft_text_printf(out, "%s%s", separator, ft_linear_name((ft_linear)i)));
        separator = ", ";
    }
    return FT_OK;
}

static ft_status add_adapter(const ft_adapter_layout *adapter, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "\n### Adapter\n\nLoRA%s, rank %lld, alpha %g, dropout %g, on ", adapter->rslora ? " with rank-stabilised scaling" : "",
                          (long long)adapter->r, adapter->alpha, adapter->dropout));
    FT_TRY(add_targets(adapter, out));
    return ft_text_printf(out, " of every layer: %lld parameters.\n", (long long)parameters(adapter));
}

// --- Settings ------------------------------------------------------------------------------------------------------------------
static ft_status add_setting(const ft_settings *settings, const char *name, ft_text *out)
{
    ft_text value = {0};
    ft_status status = ft_settings_format(settings, ft_config_find(name), &value);
    if (status == FT_OK) status = ft_text_printf(out, "| %s | %s |\n", name, value.data);
    ft_text_free(&value);
    return status;
}

static ft_status add_settings(const ft_settings *settings, ft_text *out)
{
    static const char *const names[] = {
        "learning_rate", "lr_scheduler", "warmup_ratio", "optimizer", "adam_beta1", "adam_beta2", "adam_epsilon", "weight_decay", "max_grad_norm",
        "loraplus_lr_ratio", "num_epochs", "micro_batch_size", "gradient_accumulation_steps", "sequence_len", "sample_packing", "train_on_inputs",
        "base_format", "compute", "seed"};
    FT_TRY(ft_text_puts(out, "\n### Settings\n\n| key | value |\n|---|---|\n"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) FT_TRY(add_setting(settings, names[i], out));
    return FT_OK;
}

// --- Run -----------------------------------------------------------------------------------------------------------------------
static ft_status add_loss(const char *what, double loss, ft_text *out)
{
    return isnan(loss) ? FT_OK : ft_text_printf(out, "| %s | %.4f |\n", what, loss);
}

static ft_status add_run(const ft_model_card *card, ft_text *out)
{
    char seconds[FT_HUMAN_BYTES];
    FT_TRY(ft_text_puts(out, "\n### Run\n\n| | |\n|---|---|\n"));
    FT_TRY(ft_text_printf(out, "| device | %s |\n| steps | %lld |\n| tokens | %lld, %lld of them trained |\n| time | %s |\n", card->device, (long long)card->steps,
                          (long long)card->tokens, (long long)card->trainable_tokens, ft_human_seconds(seconds, card->seconds)));
    if (card->skipped > 0) FT_TRY(ft_text_printf(out, "| steps skipped, gradient not finite | %lld |\n", (long long)card->skipped));
    FT_TRY(add_loss("train loss, last step", card->train_loss, out));
    FT_TRY(add_loss("eval loss, first", card->first_eval_loss, out));
    FT_TRY(add_loss("eval loss, last", card->last_eval_loss, out));
    FT_TRY(add_loss("eval loss, best", card->best_eval_loss, out));
    return ft_text_printf(out, "| trained with | ft-single %s |\n", FT_VERSION);
}

// --- Cards ---------------------------------------------------------------------------------------------------------------------
static ft_status add_training(const ft_model_card *card, ft_text *out)
{
    FT_TRY(ft_text_puts(out, TRAINING));
    FT_TRY(add_data(card, out));
    FT_TRY(add_adapter(card->adapter, out));
    FT_TRY(add_settings(card->settings, out));
    FT_TRY(add_run(card, out));
    return ft_model_card_config(card->settings, out);
}

static ft_status make_adapter_card(const ft_model_card *card, const char *base, ft_text *out)
{
    const ft_config *config = &card->settings->values;
    FT_TRY(add_front(config->base_model, "adapter", "peft", &config->datasets, out));
    FT_TRY(ft_text_printf(out, "\n# %s\n\nA LoRA adapter for `%s`.\n", card->name, base));
    FT_TRY(add_use("adapter", card->name, base, card->adapter->r, out));
    FT_TRY(add_merge("adapter", base, out));
    FT_TRY(add_training(card, out));
    return ft_model_card_seal(out);
}

ft_status ft_model_card_make(const ft_model_card *card, ft_text *out)
{
    char *base = ft_public_name(card->settings->values.base_model);
    FT_ALLOC_CHECK(base);
    ft_status status = make_adapter_card(card, base, out);
    ft_free(base);
    return status;
}

// From the heading to the seal, or nothing of a card without that heading.
static ft_status take_over_training(const char *trained, ft_text *out)
{
    const char *begin = trained ? strstr(trained, TRAINING) : NULL, *end = begin ? strstr(begin, "\n<!-- ft-single ") : NULL;
    if (begin == NULL) return FT_OK;
    return ft_text_add(out, begin, end ? (size_t)(end + 1 - begin) : strlen(begin));
}

static ft_status make_merged_card(const ft_merged_card *card, const char *base, ft_text *out)
{
    FT_TRY(add_front(card->base, "finetune", "transformers", NULL, out));
    FT_TRY(ft_text_printf(out, "\n# %s\n\n`%s` with a LoRA adapter folded into its weights: rank %lld, alpha %g, on ", card->name, base,
                          (long long)card->adapter->r, card->adapter->alpha));
    FT_TRY(add_targets(card->adapter, out));
    FT_TRY(ft_text_puts(out, ".\n"));
    FT_TRY(add_use(card->name, card->name, NULL, 0, out));
    FT_TRY(take_over_training(card->trained, out));
    return ft_model_card_seal(out);
}

ft_status ft_merged_card_make(const ft_merged_card *card, ft_text *out)
{
    char *base = ft_public_name(card->base);
    FT_ALLOC_CHECK(base);
    ft_status status = make_merged_card(card, base, out);
    ft_free(base);
    return status;
}
