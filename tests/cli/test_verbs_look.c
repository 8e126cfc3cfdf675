// The verbs that look and change no weights: info, plan, data, prepare, store, verify. JSON and text say the same, stdout carries the
// result and nothing else.
#include "verb_fixture.h"

#include "common/text.h"

static verbs v;

static int setup(void **state)
{
    verbs_make(&v);
    return 0;
}

static int teardown(void **state)
{
    verbs_remove(&v);
    return 0;
}

static void info_from_headers_and_from_config_alone(void **state)
{
    const ft_test_model *m = &verbs_description;
    int64_t parameters = 2 * m->vocab * m->hidden + m->hidden +
                         m->layers * (2 * m->hidden + m->hidden * m->head_dim * (2 * m->q_heads + 2 * m->kv_heads) + 3 * m->hidden * m->ffn);
    json_t *json = verbs_json(verbs_output("info", v.model, "--json"));
    assert_int_equal(verbs_number(json, "layers"), m->layers);
    assert_int_equal(verbs_number(json, "hidden"), m->hidden);
    assert_int_equal(verbs_number(json, "vocab"), m->vocab);
    assert_int_equal(verbs_number(json, "parameters"), parameters);
    assert_int_equal(verbs_number(json, "tensors"), 3 + 9 * m->layers);
    assert_int_equal(verbs_number(json, "file_bytes"), 2 * parameters);  // of the tensors, all bf16
    json_decref(json);
    char *text = verbs_output("info", v.model);
    contains(text, "LlamaForCausalLM");
    contains(text, "2 layers, hidden 128");
    free(text);
    done(ft_make_directories(at("%s/bare", v.root)));
    copy_file(at("%s/config.json", v.model), at("%s/bare/config.json", v.root));
    json = verbs_json(verbs_output("info", at("%s/bare", v.root), "--json"));
    assert_int_equal(verbs_number(json, "parameters"), parameters);
    assert_int_equal(verbs_number(json, "files"), 0);
    json_decref(json);
}

// Every line of the JSON stands in the table with the same bytes.
static void plan_says_the_same_in_both_forms(void **state)
{
    const char *tier, *line;
    json_t *part, *bytes;
    int compared = 0;
    const char *arguments[] = {"plan", "--model", v.model, "--nvme", v.root, "--device", "cpu", "--host-budget", "1G", "--hbm-budget", "1G",
                               "--nvme-budget", "1G", "--sequence-len", "128", NULL, NULL};
    char *text = verbs_output_list(arguments);
    arguments[15] = "--json";
    json_t *json = verbs_json(verbs_output_list(arguments));
    json_object_foreach(json_object_get(json, "memory"), tier, part) {
        char all[FT_HUMAN_BYTES], limit[FT_HUMAN_BYTES];
        ft_human_bytes(all, (double)verbs_number(part, "bytes"));
        ft_human_bytes(limit, (double)verbs_number(part, "limit"));
        contains(text, at("%s of %s", all, limit));
        json_object_foreach(json_object_get(part, "lines"), line, bytes) {
            char human[FT_HUMAN_BYTES];
            if (json_integer_value(bytes) == 0) continue;
            contains(text, at("%s  %s\n", ft_human_bytes(human, (double)json_integer_value(bytes)), line));
            compared++;
        }
    }
    assert_true(compared > 10);
    contains(text, at("bound by %s", json_string_value(json_object_get(json, "binding"))));
    json_decref(json);
    free(text);
}

// Without weights, for a machine that is not this one.
static void plan_for_another_machine(void **state)
{
    done(ft_make_directories(at("%s/bare", v.root)));
    copy_file(at("%s/config.json", v.model), at("%s/bare/config.json", v.root));
    json_t *json = verbs_json(verbs_output("plan", "--model", at("%s/bare", v.root), "--machine", "configs/machines/8xh100.yaml", "--json"));
    assert_int_equal(verbs_number(json_object_get(json, "run"), "gpus"), 8);
    json_decref(json);
}

static void data_as_json_lines(void **state)
{
    int lines = 0;
    char *text = verbs_output("data", v.data, "--model", v.model, "--json"), *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++) {
        json_t *sample = json_loads(line, 0, NULL);
        const json_t *ids = json_object_get(sample, "input_ids"), *labels = json_object_get(sample, "labels");
        size_t trained = 0, n = json_array_size(ids);
        assert_true(n > 10 && json_array_size(labels) == n);
        for (size_t i = 0; i < n; i++) {
            json_int_t label = json_integer_value(json_array_get(labels, i));
            if (label != -100) assert_int_equal(label, json_integer_value(json_array_get(ids, i)));
            trained += label != -100;
        }
        assert_in_range(trained, 2, n - 5);
        json_decref(sample);
    }
    assert_int_equal(lines, 3);
    free(text);
    text = verbs_output("data", v.data, "--model", v.model);
    contains(text, "data.jsonl (alpaca, detected)");
    contains(text, "[+");
    free(text);
}

static void a_store_from_prepare_to_remove(void **state)
{
    char *id = verbs_output("prepare", v.model, "--nvme", v.nvme);
    assert_int_equal(strcspn(id, "\n"), 32);
    id[32] = 0;
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    char *again = verbs_output("quantize", v.model, "--nvme", v.nvme);
    assert_memory_equal(again, id, 32);
    free(again);
    char *other = verbs_output("prepare", v.model, "--nvme", v.nvme, "--base-format", "bf16");
    other[32] = 0;
    assert_string_not_equal(other, id);
    char *list = verbs_output("store", "list", "--nvme", v.nvme);
    contains(list, id);
    contains(list, other);
    contains(list, "complete");
    contains(list, v.model);
    free(list);
    char *verified = verbs_output("verify", id, "--nvme", v.nvme);
    contains(verified, "stripes verified");
    free(verified);
    char *removed = verbs_output("store", "remove", id, "--nvme", v.nvme);
    contains(removed, id);
    free(removed);
    list = verbs_output("store", "list", "--nvme", v.nvme);
    assert_null(strstr(list, id));
    contains(list, other);
    free(list);
    program p = {0};
    program_run(&p, "verify", id, "--nvme", v.nvme);
    program_refused(&p, 2, id, "prepare");
    free(id);
    free(other);
}

static void a_page_needs_a_place(void **state)
{
    const char *nowhere = at("%s/nowhere/page.html", v.root);
    program p = {0};
    program_run(&p, "data", v.data, "--model", v.model, "--html", nowhere);
    program_refused(&p, 2, nowhere, "there is no directory");
    program_run(&p, "report", v.root, "--html", v.root);
    program_refused(&p, 2, v.root, "is a directory");
    program_run(&p, "train", "--model", v.model, "--data", v.data, "--nvme", v.nvme, "--trace", nowhere);
    program_refused(&p, 2, nowhere, "there is no directory");
}

// As the manual writes them; what is below the working directory comes first.
static void bundled_files_are_found_by_their_names(void **state)
{
    const char *configs = at("%s/bundled", v.root);
    done(ft_make_directories(at("%s/machines", configs)));
    copy_file("configs/machines/8xh100.yaml", at("%s/machines/mine.yaml", configs));
    write_text(at("%s/mine.yaml", configs), at("base_model: %s\nadapter: lora\n", v.model));
    program p = {.environment = (const char *const[]){at("FT_CONFIGS=%s", configs), NULL}};
    program_run(&p, "plan", "configs/mine.yaml", "--machine", "configs/machines/mine.yaml");
    if (p.exit_code != 0) fail_msg("%s", p.err);
    contains(p.err, at("configs/machines/mine.yaml: %s/machines/mine.yaml", configs));
    program_free(&p);
    program_run(&p, "plan", "--model", v.model, "--machine", "configs/machines/none.yaml");
    program_refused(&p, 2, "configs/machines/none.yaml: cannot open");
}

// What a full drive did not take is a failure; a reader that leaves a pipe early is none.
static void results_that_are_lost_are_a_failure(void **state)
{
    const char *single = getenv("FT_SINGLE"), *data = at("data %s --model %s --json", v.data, v.model);
    const char *verbs_of[] = {"--help", "info configs/demo", data};
    for (size_t i = 0; i < sizeof verbs_of / sizeof verbs_of[0]; i++) {
        char command[2048];
        snprintf(command, sizeof command, "%s %s >/dev/full 2>/dev/null", single, verbs_of[i]);
        assert_int_equal(WEXITSTATUS(system(command)), 1);
        snprintf(command, sizeof command, "bash -c '{ %s %s 2>/dev/null; echo $? >&2; } 2>%s/code | true; test \"$(cat %s/code)\" = 0'", single, verbs_of[i], v.root, v.root);
        assert_int_equal(WEXITSTATUS(system(command)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_that_are_lost_are_a_failure), cmocka_unit_test(a_page_needs_a_place), cmocka_unit_test(bundled_files_are_found_by_their_names),
        cmocka_unit_test(info_from_headers_and_from_config_alone), cmocka_unit_test(plan_says_the_same_in_both_forms),
        cmocka_unit_test(plan_for_another_machine), cmocka_unit_test(data_as_json_lines), cmocka_unit_test(a_store_from_prepare_to_remove),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
