// Which template a run uses: the one it names, the one the tokenizer brings, the model family's; and that its tokens are there.
#include "common/log.h"
#include "data/t_data.h"

#define TEMPLATES "tests/golden/templates/"

static ft_tokenizer *tokenizer;

// The tokenizer of a family in a directory of its own, with what the test puts beside it.
static int setup(void **state)
{
    char *text;
    size_t bytes;
    ft_log_set_level(FT_LOG_ERROR);
    if (t_setup(state)) return 1;
    t_ok(ft_file_read(TEMPLATES "chatml/tokenizer.json", 1 << 20, &text, &bytes));
    t_write("tokenizer.json", text);
    t_write("tokenizer_config.json", "{\"eos_token\":\"<|im_end|>\"}");
    ft_free(text);
    t_ok(ft_tokenizer_open(&tokenizer, t_directory));
    return 0;
}

static int teardown(void **state)
{
    ft_tokenizer_free(tokenizer);
    return t_teardown(state);
}

static ft_tokenizer *open_family(const char *family)
{
    char path[256];
    ft_tokenizer *opened;
    snprintf(path, sizeof path, TEMPLATES "%s", family);
    t_ok(ft_tokenizer_open(&opened, path));
    return opened;
}

static void assert_chosen(const char *name, const char *family, const char *expected)
{
    const ft_chat_template *chosen;
    const char *reason;
    t_ok(ft_chat_template_choose(name, tokenizer, family, &chosen, &reason));
    assert_string_equal(chosen->name, expected);
}

static ft_status choose_fails(const char *name, const ft_tokenizer *with, const char *family)
{
    const ft_chat_template *chosen;
    const char *reason;
    return ft_chat_template_choose(name, with, family, &chosen, &reason);
}

static void names_and_aliases_name_templates(void **state)
{
    assert_chosen("qwen", NULL, "qwen");
    assert_chosen("qwen_25", NULL, "qwen");
    assert_chosen("qwen2.5", "llama3", "qwen");
    assert_string_equal(ft_chat_template_find("mistral_v2v3")->name, "mistral");
    assert_null(ft_chat_template_find(""));
    assert_null(ft_chat_template_find("qwen2.5,"));
    assert_null(ft_chat_template_find("qwen2.5,qwen_25"));
    t_fails(choose_fails("zephyr", tokenizer, "chatml"), FT_E_USAGE, "no template zephyr; there are llama3, llama3.1, chatml");
}

static void a_tokenizer_that_brings_none_gets_the_familys(void **state)
{
    assert_chosen(NULL, "chatml", "chatml");
    assert_chosen("tokenizer_default", "chatml", "chatml");
    t_fails(choose_fails(NULL, tokenizer, NULL), FT_E_INPUT, "the tokenizer brings none; set one; there are llama3");
}

#define CHATML "{% for m in messages %}<|im_start|>{{ m['role'] }}\\n{{ m['content'] }}<|im_end|>\\n{% endfor %}"

static void the_tokenizers_own_template_is_recognised(void **state)
{
    t_write("tokenizer_config.json", "{\"chat_template\":\"" CHATML "\"}");
    assert_chosen(NULL, "qwen", "chatml");
    assert_chosen("qwen", NULL, "qwen");  // a named one goes first
    t_write("tokenizer_config.json", "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"x\"},{\"name\":\"default\",\"template\":\"" CHATML "\"}]}");
    assert_chosen("tokenizer_default", NULL, "chatml");
    t_write("chat_template.jinja", "<|im_start|> You are Qwen, created by Alibaba Cloud. You are a helpful assistant. <|im_end|>");
    assert_chosen(NULL, NULL, "qwen");  // the file goes before the config
    t_write("chat_template.jinja", "{{ '<|im_start|>' + something.else }}");
    assert_chosen(NULL, "chatml", "chatml");
    t_fails(choose_fails(NULL, tokenizer, NULL), FT_E_INPUT, "the tokenizer's own is none that is known");
    assert_int_equal(remove(t_path("chat_template.jinja")), 0);
    t_write("tokenizer_config.json", "{\n\"chat_template\": x}");
    t_fails(choose_fails(NULL, tokenizer, "chatml"), FT_E_INPUT, "/tokenizer_config.json:2: not JSON");
    t_write("tokenizer_config.json", "{\"eos_token\":\"<|im_end|>\"}");
}

static void tokens_that_a_template_needs_and_the_tokenizer_lacks_are_named(void **state)
{
    ft_tokenizer *mistral = open_family("mistral"), *nameless;
    t_fails(choose_fails("llama3", tokenizer, NULL), FT_E_INPUT, "has no token <|start_header_id|>; set chat_template to one");
    t_fails(choose_fails("mistral", tokenizer, NULL), FT_E_INPUT, "chat_template mistral (as configured): ");
    t_fails(choose_fails(NULL, tokenizer, "mistral"), FT_E_INPUT, "chat_template mistral (the model family's default): ");
    t_fails(choose_fails("mistral", tokenizer, NULL), FT_E_INPUT, "has no token [INST]");
    t_fails(choose_fails("chatml", mistral, NULL), FT_E_INPUT, "has no token <|im_start|>");
    t_ok(choose_fails("mistral-v1", mistral, NULL));
    t_write("tokenizer_config.json", "{}");
    t_ok(ft_tokenizer_open(&nameless, t_directory));
    t_fails(choose_fails("alpaca", nameless, NULL), FT_E_INPUT, "names none; set special_tokens.eos_token");
    ft_tokenizer_free(nameless);
    ft_tokenizer_free(mistral);
}

// With FT_TEMPLATE_JINJA=DIR, the families' own templates (make_templates.py's argument): each is told by its text.
static void the_families_own_templates_are_recognised(void **state)
{
    const char *directory = getenv("FT_TEMPLATE_JINJA");
    if (directory == NULL) skip();
    for (int i = 0; ft_chat_templates[i] != NULL; i++) {
        const char *name = ft_chat_templates[i]->name, *reason;
        char path[1024], *text;
        size_t bytes;
        const ft_chat_template *chosen = NULL;
        snprintf(path, sizeof path, "%s/%s.jinja", directory, name);
        t_ok(ft_file_read(path, 1 << 20, &text, &bytes));
        t_write("chat_template.jinja", text);
        ft_free(text);
        ft_chat_template_choose(NULL, tokenizer, NULL, &chosen, &reason);  // fails where the tokens are another family's
        assert_non_null(chosen);
        assert_string_equal(chosen->name, name);
        assert_string_equal(reason, "the tokenizer's own");
    }
    assert_int_equal(remove(t_path("chat_template.jinja")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_aliases_name_templates),
        cmocka_unit_test(a_tokenizer_that_brings_none_gets_the_familys),
        cmocka_unit_test(the_tokenizers_own_template_is_recognised),
        cmocka_unit_test(tokens_that_a_template_needs_and_the_tokenizer_lacks_are_named),
        cmocka_unit_test(the_families_own_templates_are_recognised),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
