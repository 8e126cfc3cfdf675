// The commands that serve an adapter or a model.
#include <ctype.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/shell_word.h"
#include "train/serve_check.h"

// MaxLoRARanks of vLLM's config/lora.py.
int64_t ft_serve_lora_rank(int64_t r)
{
    static const int64_t allowed[] = {1, 8, 16, 32, 64, 128, 256, 320, FT_SERVE_MAX_RANK};
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (r <= allowed[i]) return allowed[i];
    return 0;
}

static bool is_generic(const char *name, size_t bytes)
{
    static const char *const names[] = {"adapter", "checkpoint-", "merged", "model", "."};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) <= bytes && memcmp(name, names[i], strlen(names[i])) == 0) return true;
    return bytes == 0;
}

char *ft_serve_name(const char *directory)
{
    size_t bytes, parent_bytes;
    const char *name = ft_path_last(directory, strlen(directory), &bytes);
    if (is_generic(name, bytes)) {
        const char *parent = ft_path_last(directory, (size_t)(name - directory), &parent_bytes);
        if (parent_bytes > 0 && parent[0] != '.') name = parent, bytes = parent_bytes;
    }
    char *copy = bytes && name[0] != '.' ? ft_strndup(name, bytes) : ft_strdup("tuned");
    // '=' ends a name in --lora-modules.
    for (char *at = copy; at && *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_' && *at != '.') *at = '-';
    return copy;
}

ft_status ft_serve_command(ft_text *out, const char *directory, const char *name, const char *base, int64_t rank)
{
    FT_TRY(ft_text_puts(out, "vllm serve "));
    FT_TRY(ft_text_add_word(out, base ? base : directory));
    if (base == NULL) return ft_text_printf(out, " --served-model-name %s", name);
    FT_TRY(ft_text_printf(out, " --enable-lora --max-lora-rank %lld --lora-modules ", (long long)ft_serve_lora_rank(rank)));
    char *module = ft_format("%s=%s", name, directory);
    ft_status status = module ? ft_text_add_word(out, module) : FT_E_NOMEM;
    ft_free(module);
    return status;
}

static ft_status add_python_string(ft_text *out, const char *text)
{
    FT_TRY(ft_text_puts(out, "\""));
    for (; *text; text++) FT_TRY(ft_text_printf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text));
    return ft_text_puts(out, "\"");
}

ft_status ft_serve_python(ft_text *out, const char *directory, const char *base)
{
    if (base) FT_TRY(ft_text_puts(out, "from peft import PeftModel\n"));
    FT_TRY(ft_text_puts(out, "from transformers import AutoModelForCausalLM, AutoTokenizer\n\nbase = "));
    FT_TRY(add_python_string(out, base ? base : directory));
    FT_TRY(ft_text_puts(out, "\ntokenizer = AutoTokenizer.from_pretrained(base)\nmodel = AutoModelForCausalLM.from_pretrained(base, dtype=\"auto\", device_map=\"auto\")\n"));
    if (base) {
        FT_TRY(ft_text_puts(out, "model = PeftModel.from_pretrained(model, "));
        FT_TRY(add_python_string(out, directory));
        FT_TRY(ft_text_puts(out, ")\n"));
    }
    return ft_text_puts(out, "inputs = tokenizer(\"Hello\", return_tensors=\"pt\").to(model.device)\n"
                             "output = model.generate(**inputs, max_new_tokens=64)\n"
                             "print(tokenizer.decode(output[0], skip_special_tokens=True))\n");
}
