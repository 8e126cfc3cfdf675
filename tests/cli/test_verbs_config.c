// Configurations from end to end: every recipe plans without weights, Axolotl's files plan as they are, hub ids lead to the cache.
#include "verb_fixture.h"

#include <glob.h>

#include "common/axolotl_recipes.h"
#include "train/run_directory.h"

#define MACHINE "--machine", "configs/machines/8xh100.yaml"
#define HASH "0e9e39f249a16976918f6564b8830bc894c89659"

static verbs v;
static char hub[128];

static int setup(void **state)
{
    verbs_make(&v);
    snprintf(hub, sizeof hub, "%s/hub", v.root);
    done(ft_make_directories(hub));
    setenv("HF_HUB_CACHE", hub, 1);
    setenv("HF_HUB_OFFLINE", "1", 1);
    setenv("PATH_STORAGE", v.root, 1);
    return 0;
}

static int teardown(void **state)
{
    verbs_remove(&v);
    return 0;
}

static void every_recipe_plans_without_weights(void **state)
{
    glob_t recipes;
    assert_int_equal(glob("configs/*.yaml", 0, NULL, &recipes), 0);
    assert_true(recipes.gl_pathc >= 7);
    for (size_t i = 0; i < recipes.gl_pathc; i++) {
        char *text = verbs_output("plan", recipes.gl_pathv[i], MACHINE);
        contains(text, at("Keys of %s\n", recipes.gl_pathv[i]));
        contains(text, " tokens/s, bound by ");
        free(text);
    }
    globfree(&recipes);
}

// The facts of the pipeline whose name it bears.
static void the_snowflake_recipe_has_its_facts(void **state)
{
    json_t *plan = verbs_json(verbs_output("plan", "configs/llama3.1-405b-lora-snowflake.yaml", MACHINE, "--json")), *run = json_object_get(plan, "run");
    assert_int_equal(verbs_number(run, "lora_r"), 64);
    assert_int_equal(verbs_number(run, "micro_batch_size"), 4);
    assert_int_equal(verbs_number(run, "sequence_len"), 1024);
    assert_int_equal(verbs_number(run, "gpus"), 8);
    assert_int_equal(json_array_size(json_object_get(plan, "layers")), 126);
    json_decref(plan);
}

static void full_fine_tuning_is_planned_as_lora(void **state)
{
    const char *file = at("%s/fft.yaml", v.root);
    write_text(file, AXOLOTL_405B_FFT);
    program p = {0};
    program_run(&p, "plan", file, MACHINE);
    assert_int_equal(p.exit_code, 0);
    contains(p.out, "Full fine-tuning of 405.85 B parameters is not there yet. It would need\n");
    contains(p.out, "2.95 TiB  moments");
    contains(p.out, "in all, 16 bytes a parameter and the copy");
    contains(p.out, "The same run with adapter: lora (lora_r 16, lora_alpha 32");
    contains(p.out, "LoRA r 16: 623.4 M parameters");
    contains(p.err, "planned with the built-in shape llama3-405b, recognised by its name");
    program_free(&p);
    json_t *plan = verbs_json(verbs_output("plan", file, MACHINE, "--json"));  // stdout is the plan's alone
    json_decref(plan);
    p = (program){0};
    program_run(&p, "train", file, "--nvme", v.nvme);
    program_refused(&p, 2, file, "add `adapter: lora`");
    p = (program){0};
    program_run(&p, "train", file, "--adapter", "lora", "--nvme", v.nvme, "--data", v.data);
    program_refused(&p, 2, "ft-single download meta-llama/Meta-Llama-3.1-405B@" AXOLOTL_SNAPSHOT, v.root);
    unsetenv("PATH_STORAGE");
    p = (program){0};
    program_run(&p, "plan", file, MACHINE);
    program_refused(&p, 2, "fft.yaml:1: base_model", "PATH_STORAGE");
    setenv("PATH_STORAGE", v.root, 1);
}

static void qlora_warns_once_and_names_the_download(void **state)
{
    const char *file = at("%s/qlora.yaml", v.root);
    write_text(file, AXOLOTL_405B_QLORA);
    char *text = verbs_output("plan", file, MACHINE);
    contains(text, "no 4-bit copy is made");
    contains(text, "x 4 accumulated x 8 devices = 131072 tokens");
    free(text);
    program p = {0};
    program_run(&p, "train", file, "--nvme", v.nvme, "--data", v.data);
    assert_int_equal(p.exit_code, 2);
    const char *warning = strstr(p.err, "load_in_4bit, adapter: no 4-bit copy is made: ");
    assert_non_null(warning);
    assert_null(strstr(warning + strcspn(warning, "\n"), "no 4-bit copy is made"));
    contains(p.err, "ft-single download meta-llama/Meta-Llama-3.1-405B\n");
    program_free(&p);
}

// A model, its data and its tokenizer in a cache like that of `ft-single download`.
static void fill_cache(void)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"};
    done(ft_make_directories(at("%s/models--org--tiny/refs", hub)));
    done(ft_make_directories(at("%s/models--org--tiny/snapshots/" HASH, hub)));
    write_text(at("%s/models--org--tiny/refs/main", hub), HASH);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(symlink(at("%s/%s", v.model, names[i]), at("%s/models--org--tiny/snapshots/" HASH "/%s", hub, names[i])), 0);
    done(ft_make_directories(at("%s/datasets--org--words/refs", hub)));
    done(ft_make_directories(at("%s/datasets--org--words/snapshots/" HASH, hub)));
    write_text(at("%s/datasets--org--words/refs/main", hub), HASH);
    assert_int_equal(symlink(v.data, at("%s/datasets--org--words/snapshots/" HASH "/data.jsonl", hub)), 0);
}

static void ids_lead_to_the_cache_in_every_verb(void **state)
{
    fill_cache();
    char *path = verbs_output("info", v.model), *id = verbs_output("info", "org/tiny");
    assert_string_equal(path, id);
    free(path);
    free(id);
    path = verbs_output("data", v.data, "--model", v.model, "--json");
    id = verbs_output("data", "org/words", "--model", "org/tiny", "--json");
    assert_string_equal(path, id);
    free(path);
    free(id);
    path = verbs_output("prepare", v.model, "--nvme", v.nvme);
    id = verbs_output("prepare", "org/tiny", "--nvme", v.nvme);
    assert_string_equal(path, id);
    free(path);
    free(id);
    id = verbs_output("plan", "--model", "org/tiny", MACHINE);
    contains(id, "2 layers, hidden 128");
    free(id);
    program p = {0};
    program_run(&p, "data", "org/others", "--model", v.model);
    program_refused(&p, 2, "datasets[0].path", "ft-single download --dataset org/others");
}

static void a_run_from_ids_says_where_they_led(void **state)
{
    char output[512];
    program p = {0};
    program_run(&p, "train", "--model", "org/tiny", "--data", "org/words", "--nvme", v.nvme, "--device", "cpu", "--sequence-len", "96", "--max-steps",
                "1", "--output", v.output);
    if (p.exit_code != 0) fail_msg("%s", p.err);
    contains(p.err, at("base_model: %s/models--org--tiny/snapshots/" HASH " (org/tiny in the Hugging Face cache)", hub));
    contains(p.err, at("datasets[0].path: %s/datasets--org--words/snapshots/" HASH " (org/words in the Hugging Face cache)", hub));
    program_free(&p);
    snprintf(output, sizeof output, "%s/config.resolved.yaml", v.output);
    size_t bytes;
    char *resolved = file_text(output, &bytes);
    contains(resolved, "snapshots/" HASH "  # derived: org/tiny in the Hugging Face cache");
    free(resolved);
}

static void the_output_of_a_hub_model_has_its_name(void **state)
{
    ft_config config = {.base_model = (char *)"/hub/models--org--unheard-of/snapshots/" HASH};
    char *path;
    done(ft_run_directory_name(&config, &path));
    assert_string_equal(path, "ft-out/unheard-of-1");
    free(path);
}

// Mistakes that cost nothing to find come before data is read, and a refused run leaves nothing behind.
static void a_refused_run_leaves_nothing_behind(void **state)
{
    const char *deep = at("%s/runs/deep/one", v.root), *bad = at("%s/bad.jsonl", v.root);
    program p = {0};
    write_text(bad, "{\"instruction\": 7}\n");
#define BAD(...) program_run(&p, "train", "--model", v.model, "--data", bad, "--device", "cpu", "--output", deep, "--sequence-len", "96", __VA_ARGS__)
    BAD("--lora-r", "8");
    program_refused(&p, 2, "--nvme");
    BAD("--nvme", v.nvme, "--io-engine", "floppy");
    program_refused(&p, 2, "floppy");
    BAD("--nvme", v.nvme, "--lora-target-modules", "q_porj");
    program_refused(&p, 2, "q_porj");
    BAD("--nvme", v.nvme);
    program_refused(&p, 2, bad);
    assert_false(ft_path_exists(at("%s/runs", v.root)));
    done(ft_make_directories(deep));
    BAD("--nvme", v.nvme);
    program_refused(&p, 2, bad);
    assert_true(ft_path_is_directory(deep));
    assert_false(ft_path_exists(at("%s/.lock", deep)));
    write_text(at("%s/.lock", deep), "");
    BAD("--nvme", v.nvme);
    program_refused(&p, 2, bad);
    assert_true(ft_path_exists(at("%s/.lock", deep)));
}

// A budget can be raised up to what the machine has, and not beyond.
static void advice_stays_within_the_machine(void **state)
{
    program p = {0};
    program_run(&p, "plan", "configs/llama3.1-8b-lora.yaml", MACHINE, "--hbm-budget", "1G");
    program_refused(&p, 2, "device memory is short by", "raise --hbm-budget to ");
    p = (program){0};
    program_run(&p, "plan", "configs/llama3.1-8b-lora.yaml", MACHINE, "--sequence-len", "131072", "--micro-batch-size", "64");
    program_refused(&p, 2, "device memory is short by", "the machine has no more: lower sequence_len");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recipe_plans_without_weights), cmocka_unit_test(the_snowflake_recipe_has_its_facts),
        cmocka_unit_test(full_fine_tuning_is_planned_as_lora), cmocka_unit_test(qlora_warns_once_and_names_the_download),
        cmocka_unit_test(ids_lead_to_the_cache_in_every_verb), cmocka_unit_test(a_run_from_ids_says_where_they_led),
        cmocka_unit_test(the_output_of_a_hub_model_has_its_name),
        cmocka_unit_test(a_refused_run_leaves_nothing_behind), cmocka_unit_test(advice_stays_within_the_machine),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
