// serve-check as a program: its exit code, its table and its JSON.
#include "verb_fixture.h"

#define ADAPTER "tests/golden/gqa_untied_r4/adapter_init"
#define BASE "tests/golden/gqa_untied_r4/model"

static void what_loads_ends_with_the_commands(void **state)
{
    char *text = verbs_output("serve-check", ADAPTER, "--model", BASE);
    assert_non_null(strstr(text, "ok    tensor-names "));
    assert_non_null(strstr(text, "\n  vllm serve " BASE " --enable-lora --max-lora-rank 8 --lora-modules "));
    assert_non_null(strstr(text, "\n  model = PeftModel.from_pretrained(model, \"" ADAPTER "\")\n"));
    assert_null(strstr(text, "FAIL"));
    free(text);
}

static void what_does_not_load_is_exit_code_2(void **state)
{
    static const char *const arguments[] = {"serve-check", ADAPTER, "--model", BASE, "--max-lora-rank", "1", NULL};
    program p = {0};
    program_run_list(&p, arguments);
    assert_int_equal(p.exit_code, 2);
    assert_non_null(strstr(p.out, "FAIL  max-lora-rank "));
    assert_non_null(strstr(p.out, "rule: vLLM config/lora.py"));
    assert_non_null(strstr(p.err, "would not load: 1 rule failed"));
    assert_null(strstr(p.out, "vllm serve"));
    free(p.out);
    free(p.err);
}

static void json_has_every_finding(void **state)
{
    json_t *json = verbs_json(verbs_output("serve-check", ADAPTER, "--model", BASE, "--json"));
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "adapter");
    assert_int_equal(json_integer_value(json_object_get(json, "rank")), 4);
    assert_true(json_is_true(json_object_get(json, "loads")));
    assert_true(json_is_object(json_object_get(json, "commands")));
    const json_t *findings = json_object_get(json, "findings");
    assert_in_range(json_array_size(findings), 25, 60);
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *finding = json_array_get(findings, i);
        assert_true(json_string_length(json_object_get(finding, "rule")) > 0);
        assert_true(json_string_length(json_object_get(finding, "source")) > 0);
        assert_true(json_string_length(json_object_get(finding, "message")) > 0);
    }
    json_decref(json);
}

// In JSON such bytes are U+FFFD.
static void a_name_that_is_no_utf8_is_told(void **state)
{
    char directory[] = "/tmp/ft-serve-XXXXXX", here[512], name[64], target[1100];
    assert_non_null(mkdtemp(directory));
    assert_non_null(getcwd(here, sizeof here));
    snprintf(name, sizeof name, "%s/b\xFC c", directory);
    snprintf(target, sizeof target, "%s/" ADAPTER, here);
    assert_int_equal(symlink(target, name), 0);
    json_t *json = verbs_json(verbs_output("serve-check", name, "--model", BASE, "--json"));
    assert_non_null(strstr(json_string_value(json_object_get(json, "path")), "/b\uFFFD c"));
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(json, "commands"), "vllm")), "\uFFFD c'"));
    json_decref(json);
    unlink(name);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_loads_ends_with_the_commands),
        cmocka_unit_test(what_does_not_load_is_exit_code_2),
        cmocka_unit_test(json_has_every_finding),
        cmocka_unit_test(a_name_that_is_no_utf8_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
