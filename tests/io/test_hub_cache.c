// Hub ids are found where downloads put them; what is not there, or not whole, is refused with the command that fetches it.
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#include "io/hub_cache.h"

#define HASH "0e9e39f249a16976918f6564b8830bc894c89659"
#define OTHER "222de096204587406c7cadb3e0a101aade116279"

static char root[128], hub[160];

static const char *in_hub(const char *format, const char *part)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    int start = snprintf(path, sizeof paths[0], "%s/", hub);
    snprintf(path + start, sizeof paths[0] - (size_t)start, format, part);
    return path;
}

static void make_file(const char *path, const char *text)
{
    char *parent = ft_strndup(path, (size_t)(strrchr(path, '/') - path));
    assert_ok(ft_make_directories(parent));
    assert_ok(ft_file_write(path, text, strlen(text)));
    ft_free(parent);
}

// A file of a snapshot as the hub's clients make it: a link to a blob, here to one that is there or not.
static void make_link(const char *path, const char *blob, bool whole)
{
    char *parent = ft_strndup(path, (size_t)(strrchr(path, '/') - path)), target[512];
    assert_ok(ft_make_directories(parent));
    snprintf(target, sizeof target, "%s/blobs/%s", root, blob);
    if (whole) make_file(target, "{}");
    assert_int_equal(symlink(target, path), 0);
    ft_free(parent);
}

static void set_variables(const char *cache, const char *home, const char *xdg, const char *user)
{
    const char *const names[] = {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}, *const values[] = {cache, home, xdg, user};
    for (int i = 0; i < 4; i++) {
        if (values[i]) setenv(names[i], values[i], 1);
        else unsetenv(names[i]);
    }
}

static int set_up(void **state)
{
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/ft-hub-XXXXXX", base && *base ? base : "/tmp");
    if (mkdtemp(root) == NULL) return 1;
    snprintf(hub, sizeof hub, "%s/hub", root);
    set_variables(hub, NULL, NULL, NULL);
    make_file(in_hub("models--meta-llama--Llama-3.1-8B/refs/%s", "main"), HASH "\n");
    make_link(in_hub("models--meta-llama--Llama-3.1-8B/snapshots/%s/config.json", HASH), "config", true);
    make_link(in_hub("models--meta-llama--Llama-3.1-8B/snapshots/%s/model.safetensors", HASH), "weights", true);
    make_link(in_hub("models--meta-llama--Llama-3.1-8B/snapshots/%s/config.json", OTHER), "config", true);
    make_file(in_hub("models--meta-llama--Llama-3.1-8B/refs/%s", "refs/pr/1"), OTHER);
    return 0;
}

static int tear_down(void **state)
{
    return ft_remove_tree(root);
}

static void check_found(ft_hub_kind kind, const char *id, const char *expected)
{
    char *directory;
    assert_ok(ft_hub_locate(kind, id, NULL, &directory));
    assert_string_equal(directory, expected);
    ft_free(directory);
}

static void check_refused(ft_status status, const char *part, const char *command)
{
    assert_int_equal(status, FT_E_NOT_FOUND);
    assert_message_has(ft_error_message(), part);
    const char *told = strstr(ft_error_message(), "download it with: ");
    assert_non_null(told);
    assert_string_equal(told + strlen("download it with: "), command);
    assert_null(strchr(ft_error_message(), '\n'));
}

static void ids_have_their_form(void **state)
{
    static const char *const ids[] = {"meta-llama/Llama-3.1-8B", "gpt2", "mlabonne/FineTome-100k", "a/b@main", "a/b@refs/pr/1", "a_b/c.d"};
    static const char *const others[] = {"./a", "/a/b", "a/b/c", "../a", "", "a/", "data.jsonl", "data/train.parquet", "a/b@", "a b/c", "a--b/c",
                                         "~/x", "-a/b", "a/b-", "run.yaml", "a/model.gguf"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (!ft_hub_is_id(ids[i])) fail_msg("%s", ids[i]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (ft_hub_is_id(others[i])) fail_msg("%s", others[i]);
}

static void a_reference_leads_to_its_snapshot(void **state)
{
    check_found(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B", in_hub("models--meta-llama--Llama-3.1-8B/snapshots/%s", HASH));
    check_found(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B@main", in_hub("models--meta-llama--Llama-3.1-8B/snapshots/%s", HASH));
    check_found(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B@refs/pr/1", in_hub("models--meta-llama--Llama-3.1-8B/snapshots/%s", OTHER));
    check_found(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B@" OTHER, in_hub("models--meta-llama--Llama-3.1-8B/snapshots/%s", OTHER));
}

static void ids_without_an_organisation_are_found(void **state)
{
    make_file(in_hub("models--gpt2/refs/%s", "main"), HASH);
    make_file(in_hub("models--gpt2/snapshots/%s/config.json", HASH), "{}");
    check_found(FT_HUB_MODEL, "gpt2", in_hub("models--gpt2/snapshots/%s", HASH));
}

static void data_sets_have_a_place_of_their_own(void **state)
{
    char *directory;
    make_file(in_hub("datasets--mlabonne--FineTome-100k/refs/%s", "main"), HASH);
    make_link(in_hub("datasets--mlabonne--FineTome-100k/snapshots/%s/data/train-00000-of-00001.parquet", HASH), "rows", true);
    check_found(FT_HUB_DATASET, "mlabonne/FineTome-100k", in_hub("datasets--mlabonne--FineTome-100k/snapshots/%s", HASH));
    check_refused(ft_hub_locate(FT_HUB_DATASET, "tatsu-lab/alpaca", NULL, &directory), "data set", "ft-single download --dataset tatsu-lab/alpaca");
    assert_null(directory);
}

static void absent_ones_name_the_command(void **state)
{
    char *directory;
    check_refused(ft_hub_locate(FT_HUB_MODEL, "meta-llama/Llama-3.1-70B", NULL, &directory), hub, "ft-single download meta-llama/Llama-3.1-70B");
    check_refused(ft_hub_locate(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B@v2", NULL, &directory), "at revision v2",
                  "ft-single download meta-llama/Llama-3.1-8B@v2");
    assert_int_equal(ft_hub_locate(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B@../x", NULL, &directory), FT_E_USAGE);
    assert_int_equal(ft_hub_locate(FT_HUB_MODEL, "./here", NULL, &directory), FT_E_NOT_FOUND);
}

static void incomplete_ones_are_refused_with_what_is_missing(void **state)
{
    char *directory;
    make_file(in_hub("models--org--bare/refs/%s", "main"), HASH);
    make_file(in_hub("models--org--bare/snapshots/%s/README.md", HASH), "x");
    check_refused(ft_hub_locate(FT_HUB_MODEL, "org/bare", NULL, &directory), "(no config.json)", "ft-single download org/bare");
    check_refused(ft_hub_locate(FT_HUB_TOKENIZER, "org/bare", NULL, &directory), "(no tokenizer.json)", "ft-single download org/bare");
    check_refused(ft_hub_locate(FT_HUB_ADAPTER, "org/bare", NULL, &directory), "(no adapter_config.json)", "ft-single download org/bare");
    make_file(in_hub("models--org--torn/refs/%s", "main"), HASH);
    make_link(in_hub("models--org--torn/snapshots/%s/config.json", HASH), "config", true);
    make_link(in_hub("models--org--torn/snapshots/%s/model-00002-of-00002.safetensors", HASH), "gone", false);
    check_refused(ft_hub_locate(FT_HUB_MODEL, "org/torn", NULL, &directory), "(model-00002-of-00002.safetensors leads nowhere)", "ft-single download org/torn");
    make_file(in_hub("datasets--org--torn/refs/%s", "main"), HASH);
    make_link(in_hub("datasets--org--torn/snapshots/%s/data/part.parquet", HASH), "gone", false);
    check_refused(ft_hub_locate(FT_HUB_DATASET, "org/torn", NULL, &directory), "(part.parquet leads nowhere)", "ft-single download --dataset org/torn");
    assert_null(directory);
}

static void a_reference_must_hold_a_commit(void **state)
{
    char *directory;
    make_file(in_hub("models--org--odd/refs/%s", "main"), "../../../etc");
    assert_int_equal(ft_hub_locate(FT_HUB_MODEL, "org/odd", NULL, &directory), FT_E_INPUT);
    make_file(in_hub("models--org--odd/refs/%s", "main"), "");
    assert_int_equal(ft_hub_locate(FT_HUB_MODEL, "org/odd", NULL, &directory), FT_E_INPUT);
}

// The first variable that is set and not empty decides.
static void the_cache_is_where_the_variables_say(void **state)
{
    char cached[256], *directory, nothing[200];
    snprintf(cached, sizeof cached, "%s/.cache/huggingface", root);
    assert_ok(ft_make_directories(cached));
    snprintf(cached, sizeof cached, "%s/.cache/huggingface/hub", root);
    assert_int_equal(symlink(hub, cached), 0);
    snprintf(nothing, sizeof nothing, "%s/nothing", root);
    char xdg[200];
    snprintf(xdg, sizeof xdg, "%s/.cache", root);
    const char *const found[][4] = {{hub, nothing, nothing, nothing}, {NULL, root, nothing, nothing}, {"", root, nothing, nothing},
                                    {NULL, NULL, xdg, nothing}, {NULL, NULL, NULL, root}, {"", "", "", root}};
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        set_variables(found[i][0], found[i][1], found[i][2], found[i][3]);
        assert_ok(ft_hub_locate(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B", NULL, &directory));
        ft_free(directory);
    }
    const char *const lost[][4] = {{nothing, root, xdg, root}, {NULL, nothing, xdg, root}, {NULL, NULL, nothing, root}, {NULL, NULL, NULL, NULL}};
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        set_variables(lost[i][0], lost[i][1], lost[i][2], lost[i][3]);
        assert_int_equal(ft_hub_locate(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B", NULL, &directory), FT_E_NOT_FOUND);
    }
    set_variables(hub, NULL, NULL, NULL);
}

static void a_path_that_exists_wins(void **state)
{
    char *directory, here[4096];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(root), 0);
    assert_ok(ft_make_directories("meta-llama/Llama-3.1-8B"));
    assert_ok(ft_hub_locate(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B", NULL, &directory));
    assert_string_equal(directory, "meta-llama/Llama-3.1-8B");
    ft_free(directory);
    assert_ok(ft_remove_tree("meta-llama"));
    assert_ok(ft_hub_locate(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B", OTHER, &directory));
    assert_string_equal(directory, in_hub("models--meta-llama--Llama-3.1-8B/snapshots/%s", OTHER));
    ft_free(directory);
    assert_int_equal(chdir(here), 0);
}

static void a_path_into_a_cache_names_the_command_too(void **state)
{
    char *directory;
    check_refused(ft_hub_locate(FT_HUB_MODEL, "/storage/hub/models--meta-llama--Meta-Llama-3.1-405B/snapshots/" OTHER, NULL, &directory),
                  "no such directory", "HF_HUB_CACHE=/storage/hub ft-single download meta-llama/Meta-Llama-3.1-405B@" OTHER);
    check_refused(ft_hub_locate(FT_HUB_DATASET, "/storage/hub/datasets--tatsu-lab--alpaca", NULL, &directory), "no such directory",
                  "HF_HUB_CACHE=/storage/hub ft-single download --dataset tatsu-lab/alpaca");
    assert_int_equal(ft_hub_locate(FT_HUB_MODEL, "/storage/model", NULL, &directory), FT_E_NOT_FOUND);
    assert_null(strstr(ft_error_message(), "ft-single download"));
}

static void repositories_have_their_names_in_paths(void **state)
{
    char *name = ft_hub_repository_id("/a/models--meta-llama--Llama-3.1-8B/snapshots/" HASH);
    assert_string_equal(name, "meta-llama/Llama-3.1-8B");
    ft_free(name);
    name = ft_hub_repository_id("models--gpt2/snapshots/x");
    assert_string_equal(name, "gpt2");
    ft_free(name);
    assert_null(ft_hub_repository_id("/a/model"));
}

static void a_failed_allocation_is_reported(void **state)
{
    for (int64_t n = 1;; n++) {
        char *directory = NULL;
        ft_memory_fail_after(n);
        ft_status status = ft_hub_locate(FT_HUB_MODEL, "meta-llama/Llama-3.1-8B", NULL, &directory);
        ft_memory_fail_after(0);
        ft_free(directory);
        if (status == FT_OK) {
            assert_true(n > 5);
            return;
        }
        assert_null(directory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_their_form),
        cmocka_unit_test(a_reference_leads_to_its_snapshot),
        cmocka_unit_test(ids_without_an_organisation_are_found),
        cmocka_unit_test(data_sets_have_a_place_of_their_own),
        cmocka_unit_test(absent_ones_name_the_command),
        cmocka_unit_test(incomplete_ones_are_refused_with_what_is_missing),
        cmocka_unit_test(a_reference_must_hold_a_commit),
        cmocka_unit_test(the_cache_is_where_the_variables_say),
        cmocka_unit_test(a_path_that_exists_wins),
        cmocka_unit_test(a_path_into_a_cache_names_the_command_too),
        cmocka_unit_test(repositories_have_their_names_in_paths),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
