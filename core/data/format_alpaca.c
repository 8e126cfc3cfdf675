// alpaca: {"system": ..., "instruction": ..., "input": ..., "output": ...}, the prompt of Stanford Alpaca as Axolotl's
// AlpacaPrompter writes it; a system text takes the place of its first paragraph. Prompt and output are tokenized as separate
// segments (as there): BOS and prompt masked unless train_on_inputs, output and EOS trained. Special-token text in the fields is
// ordinary text.
//
// With a chat_template, the dataset's or the run's, a record is a conversation instead: the system text if there is one, then
// instruction, an empty line and input (if any) as what the user says, then the output as what the assistant says.
#include <string.h>

#include "common/text.h"
#include "data/formats.h"

#define WITH_INPUT \
    "Below is an instruction that describes a task, paired with an input that provides further context. " \
    "Write a response that appropriately completes the request."
#define WITHOUT_INPUT \
    "Below is an instruction that describes a task. " \
    "Write a response that appropriately completes the request."
#define INSTRUCTION "\n\n### Instruction:\n"
#define INPUT "\n\n### Input:\n"
#define RESPONSE "\n\n### Response:\n"

static const char *const fields[] = {"field_system",    "field_instruction", "field_input",    "field_output",
                                     "train_on_inputs", "source_max_len",    "target_max_len", NULL};

typedef struct {
    ft_token_text system, instruction, input, output;
} alpaca_record;

static const char *or_default(const char *field, const char *fallback)
{
    return field ? field : fallback;
}

static int detect(const json_t *record, const ft_dataset_config *config)
{
    bool instruction = ft_record_has_text(record, or_default(config->field_instruction, "instruction"));
    return instruction && ft_record_has_text(record, or_default(config->field_output, "output")) ? 90 : 0;
}

static bool chats(const ft_dataset_config *config, const ft_config *run)
{
    return config->chat_template != NULL || run->chat_template != NULL;
}

static ft_status append_prompt(ft_text *text, const alpaca_record *r)
{
    if (r->system.n) FT_TRY(ft_text_add(text, r->system.bytes, r->system.n));
    else FT_TRY(ft_text_puts(text, r->input.n ? WITH_INPUT : WITHOUT_INPUT));
    FT_TRY(ft_text_puts(text, INSTRUCTION));
    FT_TRY(ft_text_add(text, r->instruction.bytes, r->instruction.n));
    if (r->input.n) {
        FT_TRY(ft_text_puts(text, INPUT));
        FT_TRY(ft_text_add(text, r->input.bytes, r->input.n));
    }
    return ft_text_puts(text, RESPONSE);
}

static ft_status add_prompt(ft_segments *segments, const alpaca_record *r, bool train)
{
    ft_text text = {0};
    ft_status status = append_prompt(&text, r);
    if (status == FT_OK)
        return ft_segments_add(segments, (ft_segment){.text = text.data, .bytes = text.length, .train = train});
    ft_text_free(&text);
    return status;
}

static ft_status append_question(ft_text *text, const alpaca_record *r)
{
    FT_TRY(ft_text_add(text, r->instruction.bytes, r->instruction.n));
    if (r->input.n == 0) return FT_OK;
    FT_TRY(ft_text_puts(text, "\n\n"));
    return ft_text_add(text, r->input.bytes, r->input.n);
}

static ft_status add_turns(ft_segments *segments, const alpaca_record *r)
{
    ft_text question = {0};
    if (r->system.n) FT_TRY(ft_segments_add_said(segments, FT_SPEAKER_SYSTEM, r->system, -1));
    ft_status status = append_question(&question, r);
    if (status != FT_OK) {
        ft_text_free(&question);
        return status;
    }
    FT_TRY(ft_segments_add_turn(segments, (ft_turn){FT_SPEAKER_USER, question.data, question.length, -1}));
    return ft_segments_add_said(segments, FT_SPEAKER_ASSISTANT, r->output, -1);
}

static ft_status parse(const json_t *record, const ft_dataset_config *config, const ft_config *run, ft_segments *segments)
{
    alpaca_record r;
    FT_TRY(ft_record_text(record, or_default(config->field_system, "system"), false, &r.system));
    FT_TRY(ft_record_text(record, or_default(config->field_instruction, "instruction"), true, &r.instruction));
    FT_TRY(ft_record_text(record, or_default(config->field_input, "input"), false, &r.input));
    FT_TRY(ft_record_text(record, or_default(config->field_output, "output"), true, &r.output));
    if (chats(config, run)) return add_turns(segments, &r);
    segments->add_bos = segments->add_eos = true;
    segments->answer = 1;
    FT_TRY(add_prompt(segments, &r, run->train_on_inputs));
    return ft_segments_add_text(segments, r.output, true, false);
}

const ft_record_format ft_format_alpaca = {
    .name = "alpaca",
    .fields = fields,
    .detect = detect,
    .chats = chats,
    .parse = parse,
};

ft_status ft_alpaca_prompt(ft_text *out, const char *instruction)
{
    alpaca_record r = {.instruction = {instruction, strlen(instruction)}};
    return append_prompt(out, &r);
}
