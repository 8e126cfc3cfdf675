// A dataset path and a split name these files, in this order, and nothing else.
#include <unistd.h>

#include "common/text.h"
#include "data/data_files.h"
#include "data/t_data.h"

// Makes a fresh directory with empty files; "a/b" makes the folder a.
static char *make(const char *name, const char *const *files)
{
    char *root = t_path(name);
    t_ok(ft_remove_tree(root));
    t_ok(ft_make_directories(root));
    for (; *files; files++) {
        char *path = ft_path_join(root, *files), *slash = strrchr(path, '/');
        *slash = 0;
        t_ok(ft_make_directories(path));
        *slash = '/';
        t_ok(ft_file_write(path, "", 0));
        ft_free(path);
    }
    return root;
}

#define MAKE(...) make("set", (const char *const[]){__VA_ARGS__, NULL})

// `expected`: names from the directory, separated by spaces.
static void assert_lists(const char *root, const char *split, const char *data_files, const char *expected)
{
    ft_string_list list = {0};
    ft_text names = {0};
    t_ok(ft_data_files_list(root, split, data_files, &list));
    for (int i = 0; i < list.n; i++) {
        assert_memory_equal(list.items[i], root, strlen(root));
        t_ok(ft_text_printf(&names, "%s%s", i ? " " : "", list.items[i] + strlen(root) + 1));
    }
    assert_string_equal(names.data, expected);
    ft_text_free(&names);
    ft_string_list_free(&list);
}

static void assert_refuses(const char *root, const char *split, const char *data_files, ft_status status, const char *part)
{
    ft_string_list list = {0};
    t_fails(ft_data_files_list(root, split, data_files, &list), status, part);
    assert_int_equal(list.n, 0);
    ft_string_list_free(&list);
}

static void a_file_is_itself_and_one_split(void **state)
{
    char *path = t_write("one.jsonl.zst", "");
    ft_string_list list = {0};
    t_ok(ft_data_files_list(path, NULL, NULL, &list));
    t_ok(ft_data_files_list(path, "train", NULL, &list));
    assert_int_equal(list.n, 2);
    assert_string_equal(list.items[1], path);
    ft_string_list_free(&list);
    assert_refuses(path, "test", NULL, FT_E_INPUT, "a file, which has no split 'test'");
    assert_refuses(path, NULL, "x", FT_E_INPUT, "a file, in which 'data_files: x'");
    assert_refuses(t_write("one.csv", ""), NULL, NULL, FT_E_UNSUPPORTED, ".parquet");
    assert_refuses(t_path("absent"), NULL, NULL, FT_E_NOT_FOUND, "absent");
}

static void shards_are_chosen_by_their_split_in_order(void **state)
{
    char *root = MAKE("data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet", "data/test-00000-of-00001.parquet",
                      "data/validation-00000-of-00001-0123abcd.parquet", "README.md", ".gitattributes", "dataset_infos.json");
    assert_lists(root, NULL, NULL, "data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet");
    assert_lists(root, "test", NULL, "data/test-00000-of-00001.parquet");
    assert_lists(root, "val", NULL, "data/validation-00000-of-00001-0123abcd.parquet");
    assert_refuses(root, "train_sft", NULL, FT_E_INPUT, "no split 'train_sft'; there is test, train, validation");
}

static void splits_may_have_names_of_their_own(void **state)
{
    char *root = MAKE("data/train_sft-00000-of-00001.parquet", "data/train_gen-00000-of-00001.parquet");
    assert_lists(root, "train_sft", NULL, "data/train_sft-00000-of-00001.parquet");
    assert_refuses(root, NULL, NULL, FT_E_INPUT, "no split 'train'; there is train_gen, train_sft");
    root = MAKE("part-00000-of-00002.jsonl", "part-00001-of-00002.jsonl");
    assert_lists(root, NULL, NULL, "part-00000-of-00002.jsonl part-00001-of-00002.jsonl");
}

static void words_in_names_and_folders_tell_the_split(void **state)
{
    char *root = MAKE("my_train_1.jsonl", "eval.jsonl", "notes.jsonl");
    assert_lists(root, NULL, NULL, "my_train_1.jsonl");
    assert_lists(root, "test", NULL, "eval.jsonl");
    root = MAKE("train/b.json", "train/a.json", "test/a.json", "data/dev/x.json", "other/train.json");
    assert_lists(root, "train", NULL, "train/a.json train/b.json");
    assert_lists(root, "validation", NULL, "data/dev/x.json");
    root = MAKE("trainer.jsonl", "latest.jsonl");  // words only as a whole
    assert_lists(root, NULL, NULL, "latest.jsonl trainer.jsonl");
    assert_refuses(root, "test", NULL, FT_E_INPUT, "one split, train");
}

static void what_is_no_data_is_skipped(void **state)
{
    char *root = MAKE("x.jsonl", ".hidden.jsonl", "README.md", "LICENSE", "state.json", "dataset_info.json", "dataset_dict.json",
                      "table.csv", "deep/y.jsonl", ".cache/z.jsonl");
    assert_lists(root, NULL, NULL, "x.jsonl");
    assert_refuses(MAKE("README.md", "state.json"), NULL, NULL, FT_E_INPUT, "no data files");
    root = MAKE("socratic/train.jsonl", "main/train.jsonl");
    assert_refuses(root, NULL, NULL, FT_E_INPUT, "it has the folders main, socratic");
}

static void two_kinds_are_refused_by_name(void **state)
{
    char *root = MAKE("train.jsonl", "train.jsonl.gz", "test.parquet");
    assert_refuses(root, NULL, NULL, FT_E_INPUT, "files of two kinds, train.jsonl and train.jsonl.gz");
    assert_lists(root, "test", NULL, "test.parquet");
    assert_lists(root, NULL, "train.jsonl", "train.jsonl");
}

static void data_files_name_files_or_a_glob(void **state)
{
    char *root = make("glob[1]*", (const char *const[]){"a/2.jsonl", "a/1.jsonl", "b.jsonl", "c.txt", NULL});
    assert_lists(root, NULL, "a/*.jsonl", "a/1.jsonl a/2.jsonl");
    assert_lists(root, NULL, "b.jsonl", "b.jsonl");
    assert_refuses(root, NULL, "c.txt", FT_E_UNSUPPORTED, "c.txt");
    assert_refuses(root, NULL, "none*", FT_E_INPUT, "'none*' names no file");
    assert_refuses(root, NULL, "a", FT_E_INPUT, "names no file");
    assert_refuses(root, NULL, "a/../../x.jsonl", FT_E_INPUT, "out of the directory");
    assert_refuses(root, NULL, "/etc/x.jsonl", FT_E_INPUT, "out of the directory");
    assert_refuses(root, "test", "b.jsonl", FT_E_INPUT, "is one split, train");
}

static void slices_are_refused(void **state)
{
    char *root = MAKE("train.jsonl");
    assert_refuses(root, "train[:10%]", NULL, FT_E_UNSUPPORTED, "train[:10%]");
    assert_refuses(root, "train+test", NULL, FT_E_UNSUPPORTED, "train+test");
}

static void links_count_by_their_own_name(void **state)
{
    char *root = MAKE("blobs/0123abc", "snapshot/README.md"), path[2048];
    snprintf(path, sizeof path, "%s/snapshot/train.parquet", root);
    assert_int_equal(symlink("../blobs/0123abc", path), 0);
    snprintf(path, sizeof path, "%s/snapshot", root);
    assert_lists(path, NULL, NULL, "train.parquet");
    snprintf(path, sizeof path, "%s/snapshot/data", root);
    assert_int_equal(symlink(".", path), 0);  // a loop ends
    snprintf(path, sizeof path, "%s/snapshot", root);
    assert_lists(path, NULL, NULL, "data/data/train.parquet data/train.parquet train.parquet");
    snprintf(path, sizeof path, "%s/blobs/0123abc", root);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/snapshot", root);
    assert_refuses(path, NULL, NULL, FT_E_INPUT, "cannot be reached");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_itself_and_one_split),
        cmocka_unit_test(shards_are_chosen_by_their_split_in_order),
        cmocka_unit_test(splits_may_have_names_of_their_own),
        cmocka_unit_test(words_in_names_and_folders_tell_the_split),
        cmocka_unit_test(what_is_no_data_is_skipped),
        cmocka_unit_test(two_kinds_are_refused_by_name),
        cmocka_unit_test(data_files_name_files_or_a_glob),
        cmocka_unit_test(slices_are_refused),
        cmocka_unit_test(links_count_by_their_own_name),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
