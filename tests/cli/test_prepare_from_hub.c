// The whole way of a model that does not fit: prepared from a hub on the loopback, then trained by its id, offline, with no weight file
// anywhere; the result is that of the same model in a directory.
#include "verb_fixture.h"

#include "io/hash.h"
#include "support/hub_server.h"

static verbs v;
static hub_server *server;
static char model[128], hub[96], home[96], drive[96], endpoint[96], home_variable[128], peer[96];
static const char *environment[4];  // of the programs

static void run_in(program *p, bool offline, const char *const *arguments)
{
    environment[0] = endpoint;
    environment[1] = home_variable;
    environment[2] = offline ? "HF_HUB_OFFLINE=1" : NULL;
    p->environment = environment;
    program_run_list(p, arguments);
}

#define ONLINE(p, ...) run_in((p), false, (const char *const[]){__VA_ARGS__, NULL})
#define OFFLINE(p, ...) run_in((p), true, (const char *const[]){__VA_ARGS__, NULL})

static void ended_well(const program *p)
{
    if (p->exit_code != 0) fail_msg("exit code %d, signal %d\n%s", p->exit_code, p->signal, p->err);
}

static int setup(void **state)
{
    static const char *const tokenizer[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"};
    static hub_server_options options;
    ft_test_model sharded = verbs_description;
    sharded.shards = 4;
    verbs_make(&v);
    snprintf(hub, sizeof hub, "%s/hub", v.root);
    snprintf(model, sizeof model, "%s/models/org/name", hub);
    snprintf(drive, sizeof drive, "%s/hub-drive", v.root);
    snprintf(peer, sizeof peer, "%s/peer-drive", v.root);
    snprintf(home, sizeof home, "%s/home", v.root);
    done(ft_make_directories(model));
    done(ft_test_model_write(&sharded, model));
    for (size_t i = 0; i < sizeof tokenizer / sizeof tokenizer[0]; i++) copy_file(at("configs/demo/%s", tokenizer[i]), at("%s/%s", model, tokenizer[i]));
    unsetenv("HF_HUB_OFFLINE");
    options = (hub_server_options){.directory = hub};
    server = hub_server_start(&options);
    assert_non_null(server);
    snprintf(endpoint, sizeof endpoint, "HF_ENDPOINT=%s", hub_server_endpoint(server));
    snprintf(home_variable, sizeof home_variable, "HF_HOME=%s", home);
    return 0;
}

static int teardown(void **state)
{
    hub_server_stop(server);
    verbs_remove(&v);
    return 0;
}

static void no_weights_below(const char *directory)
{
    char command[256];
    snprintf(command, sizeof command, "test $(find %s -name '*.safetensors*' ! -name '*.index.json' | wc -l) = 0", directory);
    assert_int_equal(system(command), 0);
}

// Before the others: everything after it uses its store.
static void the_store_is_that_of_the_directory(void **state)
{
    program p = {0};
    ONLINE(&p, "prepare", "org/name", "--from-hub", "--nvme", drive);
    ended_well(&p);
    contains(p.err, "in 4 weight files; needs ");
    contains(p.err, " of scratch at once in ");
    char *id = verbs_output("prepare", model, "--nvme", peer);
    assert_string_equal(p.out, id);
    id[FT_HASH_TEXT - 1] = 0;
    files_equal(at("%s/ft-store/%s/data", drive, id), at("%s/ft-store/%s/data", peer, id));
    files_equal(at("%s/ft-store/%s/stripes.bin", drive, id), at("%s/ft-store/%s/stripes.bin", peer, id));
    free(id);
    program_free(&p);
    no_weights_below(drive);
    no_weights_below(home);
    char *list = verbs_output("store", "list", "--nvme", drive);
    contains(list, "(hub: org/name, main)");
    contains(list, "complete");
    free(list);
}

static void a_second_prepare_asks_for_no_weights(void **state)
{
    hub_server_counts counts;
    program p = {0};
    hub_server_reset(server);
    ONLINE(&p, "prepare", "org/name", "--from-hub", "--nvme", drive);
    ended_well(&p);
    program_free(&p);
    hub_server_count(server, &counts);
    assert_int_equal(counts.links, 0);
    hub_server_reset(server);
    OFFLINE(&p, "prepare", "org/name", "--from-hub", "--nvme", drive);
    ended_well(&p);
    program_free(&p);
    ONLINE(&p, "prepare", "org/name", "--nvme", drive);
    ended_well(&p);
    program_free(&p);
    hub_server_count(server, &counts);
    assert_int_equal(counts.requests, 0);
}

// The losses of the steps, in order.
static int losses(const char *output, double *loss, int most)
{
    size_t bytes;
    int n = 0;
    char *text = file_text(at("%s/metrics.jsonl", output), &bytes);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        if (strcmp(json_string_value(json_object_get(object, "kind")), "step") == 0 && n < most)
            loss[n++] = json_number_value(json_object_get(object, "loss"));
        json_decref(object);
    }
    free(text);
    return n;
}

#define TRAIN "--data", v.data, "--device", "cpu", "--sequence-len", "96", "--max-steps", "2", "--micro-batch-size", "1"

static void training_by_id_needs_the_store_alone(void **state)
{
    double of_hub[8], of_directory[8];
    char output[2][128];
    snprintf(output[0], sizeof output[0], "%s/by-id", v.root);
    snprintf(output[1], sizeof output[1], "%s/by-directory", v.root);
    program p = {0}, q = {0};
    hub_server_reset(server);
    OFFLINE(&p, "train", "--model", "org/name", "--nvme", drive, "--output", output[0], TRAIN);
    ended_well(&p);
    program_run(&q, "train", "--model", model, "--nvme", peer, "--output", output[1], TRAIN);
    ended_well(&q);
    assert_int_equal(losses(output[0], of_hub, 8), 2);
    assert_int_equal(losses(output[1], of_directory, 8), 2);
    assert_memory_equal(of_hub, of_directory, 2 * sizeof of_hub[0]);
    files_equal(at("%s/adapter/adapter_model.safetensors", output[0]), at("%s/adapter/adapter_model.safetensors", output[1]));
    program_free(&p);
    program_free(&q);
    hub_server_counts counts;
    hub_server_count(server, &counts);
    assert_int_equal(counts.requests, 0);
    no_weights_below(drive);
    no_weights_below(home);
}

// With the network there, too: the weights are in the store and are not downloaded.
static void eval_by_id_downloads_nothing(void **state)
{
    hub_server_counts counts;
    program p = {0};
    hub_server_reset(server);
    ONLINE(&p, "eval", "--model", "org/name", "--nvme", drive, "--device", "cpu", "--sequence-len", "96", "--data", v.data);
    ended_well(&p);
    contains(p.out, "eval loss ");
    program_free(&p);
    hub_server_count(server, &counts);
    assert_int_equal(counts.links, 0);
    no_weights_below(home);
}

static void merge_says_how_to_get_the_weights(void **state)
{
    program p = {0};
    OFFLINE(&p, "merge", "--model", "org/name", "--adapter", at("%s/by-id/adapter", v.root), "--output", at("%s/merged", v.root));
    program_refused(&p, 2, "ft-single download org/name");
}

static void what_is_no_repository_is_refused(void **state)
{
    program p = {0};
    ONLINE(&p, "prepare", model, "--from-hub", "--nvme", drive);
    program_refused(&p, 2, "--from-hub", "ORG/NAME");
    ONLINE(&p, "prepare", "org/absent", "--from-hub", "--nvme", drive);
    program_refused(&p, 2, "org/absent");
    OFFLINE(&p, "prepare", "org/name", "--from-hub", "--nvme", at("%s/other", v.root));
    program_refused(&p, 2, "org/name", "HF_HUB_OFFLINE");
    ONLINE(&p, "prepare", model, "--scratch", v.root, "--nvme", drive);
    program_refused(&p, 2, "--scratch", "--from-hub");
}

static int64_t size_of(const char *file)
{
    int64_t bytes;
    done(ft_path_size(at("%s/%s", model, file), &bytes));
    return bytes;
}

// Until the first weight file is whole.
static void wait_for_first_file(program *p, const char *directory)
{
    char command[256];
    snprintf(command, sizeof command, "test -e %s/ft-store/.hub-*/shards/model-00002-of-00004.safetensors", directory);
    while (system(command) != 0)
        if (program_wait(p, 0.02)) fail_msg("it ended before its first weight file was there\n%s", program_read_back(p->err_fd));
}

static void set_slow(int64_t bytes_each_second)
{
    hub_server_options options = hub_server_get(server);
    options.slow = bytes_each_second;
    hub_server_set(server, &options);
}

// Killed while the second weight file is on its way; the next run asks for no more than the others.
static void a_killed_prepare_continues(void **state)
{
    hub_server_counts counts;
    char other[128];
    int64_t others = size_of("model-00001-of-00004.safetensors") + size_of("model-00003-of-00004.safetensors") + size_of("model-00004-of-00004.safetensors");
    program p = {.environment = environment};
    snprintf(other, sizeof other, "%s/killed-drive", v.root);
    environment[2] = NULL;
    set_slow(200000);
    program_start(&p, (const char *const[]){"prepare", "org/name", "--from-hub", "--nvme", other, NULL});
    wait_for_first_file(&p, other);
    kill(p.pid, SIGKILL);
    program_finish(&p);
    assert_int_equal(p.signal, SIGKILL);
    program_free(&p);
    set_slow(0);
    hub_server_reset(server);
    ONLINE(&p, "prepare", "org/name", "--from-hub", "--nvme", other);
    ended_well(&p);
    contains(p.err, "in 4 weight files");
    p.out[FT_HASH_TEXT - 1] = 0;
    files_equal(at("%s/ft-store/%s/data", other, p.out), at("%s/ft-store/%s/data", peer, p.out));
    program_free(&p);
    hub_server_count(server, &counts);
    assert_in_range(counts.bytes, 1, others);
    no_weights_below(other);
}

int main(void)
{
    PROGRAM_SKIP();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_is_that_of_the_directory),
        cmocka_unit_test(a_second_prepare_asks_for_no_weights),
        cmocka_unit_test(training_by_id_needs_the_store_alone),
        cmocka_unit_test(eval_by_id_downloads_nothing),
        cmocka_unit_test(merge_says_how_to_get_the_weights),
        cmocka_unit_test(what_is_no_repository_is_refused),
        cmocka_unit_test(a_killed_prepare_continues),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
