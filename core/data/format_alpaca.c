// alpaca: {"instruction": ..., "input": ..., "output": ...}, the prompt of Stanford Alpaca as Axolotl's AlpacaPrompter writes
// it. Prompt and output are tokenized as separate segments (as there): BOS and prompt masked unless train_on_inputs, output and
// EOS trained. Special-token text in the fields is ordinary text.
#include <string.h>

#include "common/text.h"
#include "data/formats.h"

#define WITH_INPUT \
    "Below is an instruction that describes a task, paired with an input that provides further context. " \
    "Write a response that appropriately completes the request.\n\n### Instruction:\n"
#define WITHOUT_INPUT \
    "Below is an instruction that describes a task. " \
    "Write a response that appropriately completes the request.\n\n### Instruction:\n"
#define INPUT "\n\n### Input:\n"
#define RESPONSE "\n\n### Response:\n"

static const char *const fields[] = {"field_instruction", "field_input", "field_output", NULL};

static const char *or_default(const char *field, const char *fallback)
{
    return field ? field : fallback;
}

static int detect(const json_t *record, const ft_dataset_config *config)
{
    bool instruction = ft_record_has_text(record, or_default(config->field_instruction, "instruction"));
    return instruction && ft_record_has_text(record, or_default(config->field_output, "output")) ? 90 : 0;
}

static ft_status append_literal(ft_text *text, const char *literal)
{
    return ft_text_printf(text, "%s", literal);
}

static ft_status append_prompt(ft_text *text, ft_field_text instruction, ft_field_text input)
{
    FT_TRY(append_literal(text, input.n ? WITH_INPUT : WITHOUT_INPUT));
    FT_TRY(ft_text_add(text, instruction.bytes, instruction.n));
    if (input.n) {
        FT_TRY(append_literal(text, INPUT));
        FT_TRY(ft_text_add(text, input.bytes, input.n));
    }
    return append_literal(text, RESPONSE);
}

static ft_status add_prompt(ft_segments *segments, ft_field_text instruction, ft_field_text input, bool train)
{
    ft_text text = {0};
    ft_status status = append_prompt(&text, instruction, input);
    if (status == FT_OK)
        return ft_segments_add(segments, (ft_segment){.text = text.data, .bytes = text.length, .train = train});
    ft_text_free(&text);
    return status;
}

static ft_status parse(const json_t *record, const ft_dataset_config *config, const ft_config *run, ft_segments *segments)
{
    ft_field_text instruction, input, output;
    FT_TRY(ft_record_text(record, or_default(config->field_instruction, "instruction"), true, &instruction));
    FT_TRY(ft_record_text(record, or_default(config->field_input, "input"), false, &input));
    FT_TRY(ft_record_text(record, or_default(config->field_output, "output"), true, &output));
    segments->add_bos = segments->add_eos = true;
    FT_TRY(add_prompt(segments, instruction, input, run->train_on_inputs));
    return ft_segments_add_text(segments, output, true, false);
}

const ft_record_format ft_format_alpaca = {
    .name = "alpaca",
    .help = "{instruction, input, output}: the Alpaca prompt, the output trained",
    .fields = fields,
    .detect = detect,
    .parse = parse,
};

ft_status ft_alpaca_prompt(ft_text *out, const char *instruction)
{
    return append_prompt(out, (ft_field_text){instruction, strlen(instruction)}, (ft_field_text){"", 0});
}
