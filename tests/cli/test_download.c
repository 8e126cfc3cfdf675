// ft-single download as its user sees it, and ids of the hub in other verbs: killed, stopped, twice at once, and never a token shown.
#include "verb_fixture.h"

#include "support/hub_server.h"

#define TOKEN "hf_QwErTySecret"
enum { BIG_BYTES = 24 << 20 };

static verbs v;
static hub_server *hub;
static char home[128];

static void write_big(const char *path)
{
    uint64_t *words = malloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES / 8; i++) words[i] = i * UINT64_C(0x9E3779B97F4A7C15);
    done(ft_file_write(path, words, BIG_BYTES));
    free(words);
}

static void serve_model(const char *served, const char *name)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"};
    done(ft_make_directories(at("%s/models/org/%s", served, name)));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) copy_file(at("%s/%s", v.model, names[i]), at("%s/models/org/%s/%s", served, name, names[i]));
}

static int setup(void **state)
{
    static char served[128];
    verbs_make(&v);
    snprintf(served, sizeof served, "%s/served", v.root);
    snprintf(home, sizeof home, "%s/home", v.root);
    done(ft_make_directories(at("%s/models/org/big", served)));
    done(ft_make_directories(at("%s/datasets/org/words", served)));
    write_big(at("%s/models/org/big/model.safetensors", served));
    write_text(at("%s/models/org/big/config.json", served), "{}");
    serve_model(served, "tiny");
    serve_model(served, "private-tiny");
    copy_file(v.data, at("%s/datasets/org/words/data.jsonl", served));
    hub = hub_server_start(&(hub_server_options){.directory = served, .token = TOKEN});
    if (hub == NULL) return 1;
    setenv("HF_ENDPOINT", hub_server_endpoint(hub), 1);
    setenv("HF_HOME", home, 1);
    setenv("NO_PROXY", "127.0.0.1", 1);
    unsetenv("HF_HUB_CACHE");
    unsetenv("HF_TOKEN");
    unsetenv("HF_HUB_OFFLINE");
    return 0;
}

static int teardown(void **state)
{
    hub_server_stop(hub);
    verbs_remove(&v);
    return 0;
}

static int begin(void **state)
{
    hub_server_options before = hub_server_get(hub);
    hub_server_set(hub, &(hub_server_options){.directory = before.directory, .token = before.token});
    done(ft_remove_tree(home));
    hub_server_reset(hub);
    return 0;
}

// Bytes a second and connection, 0 = no limit.
static void set_rate(int64_t slow)
{
    hub_server_options options = hub_server_get(hub);
    options.slow = slow;
    hub_server_set(hub, &options);
}

static int64_t sent(void)
{
    hub_server_counts counts;
    hub_server_count(hub, &counts);
    return counts.bytes;
}

// The only line on stdout is the snapshot's directory, which holds the file.
static void check_big(char *out)
{
    out[strcspn(out, "\n")] = 0;
    files_equal(at("%s/model.safetensors", out), at("%s/served/models/org/big/model.safetensors", v.root));
    free(out);
}

// Ranges of 3 MiB over two connections: what a kill loses is at most what they were at.
static void a_killed_download_goes_on(void **state)
{
    program p = {0};
    set_rate(6 << 20);
    program_start(&p, (const char *const[]){"download", "org/big", "--connections", "2", NULL});
    while (sent() < 12 << 20) assert_false(program_wait(&p, 0.01));
    assert_int_equal(kill(p.pid, SIGKILL), 0);
    program_finish(&p);
    program_free(&p);
    usleep(100000);  // the server sees the connections close
    set_rate(0);
    hub_server_reset(hub);
    check_big(verbs_output("download", "org/big"));
    print_message("killed after 12 MiB of 24: %.1f MiB were fetched afterwards\n", (double)sent() / 1048576);
    assert_in_range(sent(), 1, 12 << 20);
}

static void a_signal_keeps_what_arrived_and_exits_3(void **state)
{
    program p = {0};
    set_rate(6 << 20);
    program_start(&p, (const char *const[]){"download", "org/big", "--connections", "2", NULL});
    while (sent() < 6 << 20) assert_false(program_wait(&p, 0.01));
    kill(p.pid, SIGINT);
    program_finish(&p);
    assert_int_equal(p.exit_code, 3);
    assert_int_equal(p.out[0], 0);
    contains(p.err, "what has arrived is kept");
    program_free(&p);
    set_rate(0);
    hub_server_reset(hub);
    check_big(verbs_output("download", "org/big"));
    assert_in_range(sent(), 1, 18 << 20);
}

static void two_processes_fetch_a_file_once(void **state)
{
    program p[2] = {{0}, {0}};
    set_rate(8 << 20);
    for (int i = 0; i < 2; i++) program_start(&p[i], (const char *const[]){"download", "org/big", NULL});
    for (int i = 0; i < 2; i++) {
        program_finish(&p[i]);
        if (p[i].exit_code != 0) fail_msg("%s", p[i].err);
        free(p[i].err);
        check_big(p[i].out);
    }
    assert_in_range(sent(), BIG_BYTES, BIG_BYTES + 1000);
}

static void the_token_is_never_shown(void **state)
{
    program p = {.environment = (const char *const[]){"HF_TOKEN=" TOKEN, "FT_LOG=debug", NULL}};
    hub_server_counts counts;
    hub_server_options options = hub_server_get(hub);
    options.busy = 1;
    hub_server_set(hub, &options);
    program_run(&p, "download", "org/private-tiny");
    if (p.exit_code != 0) fail_msg("%s", p.err);
    contains(p.err, "asked again");
    assert_null(strstr(p.err, "QwErTy"));
    program_free(&p);
    hub_server_count(hub, &counts);
    assert_true(counts.hub_tokens > 0);
    assert_int_equal(counts.cdn_tokens, 0);
    p = (program){.environment = (const char *const[]){"HF_TOKEN=hf_QwErTyOther", "FT_LOG=debug", NULL}};
    program_run(&p, "download", "org/private-tiny");
    assert_int_equal(p.exit_code, 2);
    assert_null(strstr(p.err, "QwErTy"));
    program_free(&p);
}

static void what_would_be_fetched_is_listed(void **state)
{
    char *text = verbs_output("download", "org/big", "--dry-run");
    contains(text, "25165824  model.safetensors");
    contains(text, "in 2 of 2 files of org/big at ");
    free(text);
    text = verbs_output("download", "org/big", "--dry-run", "--include", "*.json,*.txt");
    assert_null(strstr(text, "model.safetensors"));
    free(text);
    assert_int_equal(sent(), 0);
    program p = {0};
    program_run(&p, "download", "org/big", "--include", "*.txt");
    program_refused(&p, 2, "org/big", "--include", "--all");
    program_run(&p, "download", "org/big", "--include", "*", "--all");
    program_refused(&p, 2, "exclude each other");
    program_run(&p, "download", "org/big", "--include", "");
    program_refused(&p, 2, "needs a glob");
}

// config.json is all that a plan reads, and info reads the headers beside it.
static void a_plan_and_info_fetch_no_weights(void **state)
{
    int64_t config = file_bytes(at("%s/config.json", v.model)), weights = file_bytes(at("%s/model.safetensors", v.model));
    free(verbs_output("plan", "--model", "org/tiny", "--machine", "configs/machines/8xh100.yaml"));
    assert_int_equal(sent(), config);
    char *here = verbs_output("info", v.model), *there = verbs_output("info", "org/tiny");
    there[strlen(there) - strlen(" at the hub\n")] = 0;
    assert_memory_equal(here, there, strlen(there));
    assert_true(sent() < config + weights / 10);
    free(here);
    free(there);
}

static void ids_are_downloaded_wherever_a_directory_is_read(void **state)
{
    char *here = verbs_output("data", v.data, "--model", v.model, "--json"), *there = verbs_output("data", "org/words", "--model", "org/tiny", "--json");
    assert_string_equal(here, there);
    free(here);
    free(there);
    assert_true(sent() < file_bytes(at("%s/model.safetensors", v.model)));  // for the tokenizer no weights
    char *online = verbs_output("download", "org/tiny");
    int64_t before = sent();
    program p = {.environment = (const char *const[]){"HF_HUB_OFFLINE=1", NULL}};
    program_run(&p, "download", "org/tiny");
    assert_string_equal(p.out, online);
    free(online);
    program_free(&p);
    program_run(&p, "download", "org/big");
    program_refused(&p, 2, "org/big", "HF_HUB_OFFLINE");
    program_run(&p, "train", "--model", "org/tiny", "--data", "org/words", "--nvme", v.nvme, "--device", "cpu", "--sequence-len", "96", "--max-steps", "1",
                "--output", v.output);
    if (p.exit_code != 0) fail_msg("%s", p.err);
    program_free(&p);
    assert_int_equal(sent(), before);
}

static void the_other_kind_of_repository_is_named(void **state)
{
    program p = {0};
    program_run(&p, "download", "org/words");
    program_refused(&p, 2, "org/words is a data set", "--dataset");
    program_run(&p, "download", "--dataset", "org/tiny");
    program_refused(&p, 2, "org/tiny is a model");
    program_run(&p, "download", "org/nothing");
    program_refused(&p, 2, "org/nothing", "not found, or private");
}

// What is wrong with the rest of a command is said before anything of its model comes.
static void mistakes_are_found_before_a_download(void **state)
{
    const char *gone = at("%s/gone/drive", v.root), *none = at("%s/none.jsonl", v.root);
    done(ft_make_directories(at("%s/run/checkpoint-0", v.root)));
    write_text(at("%s/run/metrics.jsonl", v.root), "");
    write_text(at("%s/run/checkpoint-0/adapter_config.json", v.root), "{}");
    const char *run = at("%s/run", v.root);
    program p = {0};
    program_run(&p, "train", "--model", "org/tiny", "--data", v.data, "--nvme", gone);
    program_refused(&p, 2, gone, "mount the drive or correct the path");
    program_run(&p, "train", "--model", "org/tiny", "--data", none, "--nvme", v.nvme);
    program_refused(&p, 2, none, "no such file");
    program_run(&p, "train", "--model", "org/tiny", "--data", v.data, "--nvme", v.nvme, "--output", run);
    program_refused(&p, 2, run, "holds a run already");
    program_run(&p, "train", "--model", "org/tiny", "--data", v.data, "--nvme", v.nvme, "--resume-from", run);
    program_refused(&p, 2, run, "OUTPUT/checkpoint-N");
    program_run(&p, "eval", "--model", "org/tiny", "--data", v.data, "--nvme", v.nvme, "--adapter", run);
    program_refused(&p, 2, run, "output of a run");
    program_run(&p, "generate", "--model", "org/tiny", "--data", none, "--prompt", "x", "--nvme", v.nvme, "--adapter", none);
    program_refused(&p, 2, none, "no such adapter");
    program_run(&p, "merge", "--model", "org/tiny", "--adapter", v.nvme, "--output", v.output);
    program_refused(&p, 2, v.nvme, "adapter_config.json");
    program_run(&p, "merge", "--model", "org/tiny", "--adapter", at("%s/checkpoint-0", run), "--output", v.model);
    program_refused(&p, 2, v.model, "is there already");
    program_run(&p, "download", "org/tiny@main", "--revision", "v2");
    program_refused(&p, 2, "org/tiny@main", "--revision");
    assert_int_equal(sent(), 0);
    assert_false(ft_path_exists(home));
}

int main(void)
{
    PROGRAM_SKIP();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_killed_download_goes_on, begin),
        cmocka_unit_test_setup(a_signal_keeps_what_arrived_and_exits_3, begin),
        cmocka_unit_test_setup(two_processes_fetch_a_file_once, begin),
        cmocka_unit_test_setup(the_token_is_never_shown, begin),
        cmocka_unit_test_setup(what_would_be_fetched_is_listed, begin),
        cmocka_unit_test_setup(a_plan_and_info_fetch_no_weights, begin),
        cmocka_unit_test_setup(ids_are_downloaded_wherever_a_directory_is_read, begin),
        cmocka_unit_test_setup(the_other_kind_of_repository_is_named, begin),
        cmocka_unit_test_setup(mistakes_are_found_before_a_download, begin),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
