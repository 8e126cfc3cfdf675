// ft-single doctor as a user runs it: its JSON, drives that a run could not use, the plan of a named run, and several hosts behind
// a command that stands for ssh.
#include "verb_fixture.h"

static verbs v;

static int setup(void **state)
{
    verbs_make(&v);
    done(ft_make_directories(v.nvme));
    return 0;
}

static int teardown(void **state)
{
    verbs_remove(&v);
    return 0;
}

// Runs doctor with `arguments`, requires this exit code, and returns its report.
#define examine(code, ...) examine_list((code), (const char *const[]){"doctor", "--json", "--quick", __VA_ARGS__, NULL})
static json_t *examine_list(int code, const char *const *arguments)
{
    program p = {0};
    program_run_list(&p, arguments);
    if (p.exit_code != code) fail_msg("exit code %d where %d is right\n%s\n%s", p.exit_code, code, p.out, p.err);
    if (code && program_error_line(&p) == NULL) fail_msg("stderr is not one line: %s", p.err);
    free(p.err);
    return verbs_json(p.out);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static const json_t *find_row(const json_t *report, const char *check)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(report, "checks"), i, row)
        if (strcmp(text_of(row, "check"), check) == 0) return row;
    fail_msg("no row %s", check);
    return NULL;
}

static void expect(const json_t *report, const char *check, const char *verdict, const char *found)
{
    const json_t *row = find_row(report, check);
    if (strcmp(text_of(row, "verdict"), verdict) != 0) fail_msg("%s is %s: %s", check, text_of(row, "verdict"), text_of(row, "found"));
    contains(text_of(row, "found"), found);
    assert_true((strcmp(verdict, "ok") == 0) == (text_of(row, "remedy")[0] == 0));
}

// ---- one machine

static void a_usable_drive_is_written_and_left_empty(void **state)
{
    json_t *report = examine(0, "--nvme", v.nvme);
    contains(text_of(find_row(report, at("drive %s", v.nvme)), "found"), "written and read back");
    expect(report, "ft-single", "ok", "devices: ");
    expect(report, "plan", "ok", "none");
    assert_true(json_is_number(json_object_get(report, "time")));
    json_decref(report);
    program p = {0};
    program_run(&p, "doctor", "--nvme", v.nvme);  // with the probe of rates
    assert_int_equal(p.exit_code, 0);
    contains(p.out, at("drive %s", v.nvme));
    contains(p.out, " failed\n");
    program_free(&p);
    DIR *stream = opendir(v.nvme);
    for (struct dirent *entry; (entry = readdir(stream));) assert_true(entry->d_name[0] == '.' && entry->d_name[strspn(entry->d_name, ".")] == 0);
    closedir(stream);
}

static void directories_that_no_run_could_use_fail(void **state)
{
    write_text(at("%s/file", v.root), "x");
    json_t *report = examine(2, "--nvme", at("%s/missing/deep,%s/file,%s", v.root, v.root, v.nvme));
    expect(report, at("drive %s/missing/deep", v.root), "FAIL", "no such directory");
    expect(report, at("drive %s/file", v.root), "FAIL", "no such directory");
    contains(text_of(find_row(report, at("drive %s", v.nvme)), "found"), "written");
    assert_string_equal(text_of(report, "verdict"), "FAIL");
    json_decref(report);
    report = examine(2, "--nvme", "/proc");  // where nobody can create a file
    expect(report, "drive /proc", "FAIL", "/proc");
    json_decref(report);
}

static void a_directory_that_a_run_would_make_passes(void **state)
{
    json_t *report = examine(0, "--nvme", at("%s/new", v.root));
    expect(report, at("drive %s/new", v.root), "ok", "a run makes it");
    contains(text_of(find_row(report, at("space %s/new", v.root)), "found"), "free");
    json_decref(report);
}

static void memory_is_no_drive(void **state)
{
    char directory[] = "/dev/shm/ft-doctor-XXXXXX";
    if (mkdtemp(directory) == NULL) skip();
    json_t *report = examine(0, "--nvme", directory);
    expect(report, at("device %s", directory), "note", "memory");
    json_decref(report);
    rmdir(directory);
}

static void the_plan_of_a_named_run_is_a_row(void **state)
{
    json_t *report = examine(0, "--model", v.model, "--nvme", v.nvme, "--device", "cpu", "--sequence-len", "128", "--output", v.output);
    expect(report, "plan", "ok", "fits: ");
    contains(text_of(json_object_get(report, "facts"), "model"), v.model);
    expect(report, "output", "ok", v.output);
    json_decref(report);
    report = examine(2, "--model", v.model, "--nvme", v.nvme, "--device", "cpu", "--sequence-len", "128", "--hbm-budget", "1M");
    expect(report, "plan", "FAIL", "");
    json_decref(report);
    report = examine(2, "--model", at("%s/nothing", v.root), "--nvme", v.nvme);
    expect(report, "plan", "FAIL", "nothing");
    json_decref(report);
    report = examine(2, "--output", "/proc/x");
    expect(report, "output", "FAIL", "/proc");
    json_decref(report);
}

static void flags_of_hosts_need_a_hostfile(void **state)
{
    program p = {0};
    program_run(&p, "doctor", "--ssh", "x");
    program_refused(&p, 2, "--ssh", "--hostfile");
    program_run(&p, "doctor", "--hostfile", at("%s/none", v.root));
    program_refused(&p, 2, "none");
}

// ---- several hosts

// Stands for ssh: runs the command here, as the hosts "good...", "old" (another version), "late" (its clock is ahead), "silent",
// "closed", "killed", "chatty" (prints before the report), "lingers" (leaves a process that holds stderr) and "strict" (wants broken
// pipes to end it) would.
static const char *fake_ssh(void)
{
    const char *path = at("%s/ssh", v.root);
    write_text(path, "#!/bin/sh\n"
                     "[ \"$1\" = -q ] && shift\n"
                     "host=$1; shift\n"
                     "case $host in\n"
                     "  silent) exec sleep 60 ;;\n"
                     "  closed) echo 'Warning: something' >&2; echo 'ssh: connect to host closed port 22: Connection refused' >&2; exit 255 ;;\n"
                     "  killed) kill -9 $$ ;;\n"
                     "  old) sh -c \"$*\" | sed 's/\"ft-single\": \"[^\"]*\"/\"ft-single\": \"0.0.1 (cpu)\"/' ;;\n"
                     "  late) sh -c \"$*\" | sed 's/\"time\": 1/\"time\": 2/' ;;\n"
                     "  chatty) echo 'Welcome!'; sh -c \"$*\" ;;\n"
                     "  lingers) sleep 30 >/dev/null & sh -c \"$*\" ;;\n"
                     "  strict) grep -q 'SigIgn:.*[13579bdf]...$' /proc/self/status || exec sh -c \"$*\" ;;\n"
                     "  *) exec sh -c \"$*\" ;;\n"
                     "esac\n");
    assert_int_equal(chmod(path, 0755), 0);
    return path;
}

static const json_t *host_of(const json_t *report, const char *name)
{
    size_t i;
    json_t *host;
    json_array_foreach(json_object_get(report, "hosts"), i, host)
        if (strcmp(text_of(host, "host"), name) == 0) return host;
    fail_msg("no host %s", name);
    return NULL;
}

static const char *hostfile(const char *text)
{
    const char *path = at("%s/hosts", v.root);
    write_text(path, text);
    return path;
}

static void equal_hosts_are_alike(void **state)
{
    json_t *report = examine(0, "--nvme", v.nvme, "--hostfile", hostfile("good1 slots=2 # one\ngood2\nchatty\n"), "--ssh", at("%s -q", fake_ssh()));
    assert_int_equal(json_array_size(json_object_get(report, "hosts")), 3);
    contains(text_of(find_row(host_of(report, "good2"), at("drive %s", v.nvme)), "found"), "written");
    expect(report, "ft-single", "ok", "");
    expect(report, "clocks", "ok", "within");
    expect(report, "drives", "ok", v.nvme);
    json_decref(report);
}

static void differences_are_named_with_their_hosts(void **state)
{
    json_t *report = examine(2, "--hostfile", hostfile("good1\nold\nlate\n"), "--ssh", fake_ssh());
    expect(report, "ft-single", "FAIL", "0.0.1 (cpu) on old");
    contains(text_of(find_row(report, "ft-single"), "found"), "on good1, late");
    expect(report, "clocks", "note", "late is ");
    json_decref(report);
}

static void a_host_that_is_not_reached_is_a_failure_and_hangs_nothing(void **state)
{
    double begin = ft_now_s();
    json_t *report = examine(2, "--hostfile", hostfile("good1\nsilent\nclosed\nkilled\nlocalhost\n"), "--ssh", fake_ssh(), "--timeout", "8");
    assert_true(ft_now_s() - begin < 40);
    expect(host_of(report, "silent"), "reached", "FAIL", "no report within 8 s");
    expect(host_of(report, "closed"), "reached", "FAIL", "ssh: connect to host closed port 22: Connection refused");
    contains(text_of(find_row(host_of(report, "closed"), "reached"), "remedy"), "sshd");
    expect(host_of(report, "killed"), "reached", "FAIL", "no report came back (signal 9, Killed)");
    expect(report, "route localhost", "ok", "this machine");
    json_decref(report);
}

// ssh that shares its connection leaves such a process; what ssh is given to ignore it ignores, a broken pipe among it.
static void a_host_is_done_when_its_command_is(void **state)
{
    double begin = ft_now_s();
    json_t *report = examine(0, "--quick", "--hostfile", hostfile("lingers\nstrict\n"), "--ssh", fake_ssh(), "--timeout", "25");
    assert_true(ft_now_s() - begin < 20);
    json_decref(report);
}

static void the_remote_program_can_be_named(void **state)
{
    json_t *report = examine(2, "--hostfile", hostfile("good1\n"), "--ssh", fake_ssh(), "--remote", "/nowhere/ft-single");
    expect(host_of(report, "good1"), "reached", "FAIL", "/nowhere/ft-single");
    contains(text_of(find_row(host_of(report, "good1"), "reached"), "remedy"), "--remote");
    json_decref(report);
}

// Arguments reach the host as they were typed, whatever is in them; the flags about hosts do not.
static void arguments_are_quoted_on_their_way(void **state)
{
    const char *odd = "/nowhere/a b'c\"$HOME;echo *";
    json_t *report = examine(2, "--nvme", odd, "--hostfile", hostfile("good1\n"), "--ssh", fake_ssh());
    expect(host_of(report, "good1"), at("drive %s", odd), "FAIL", "no such directory");
    json_decref(report);
    program p = {0};
    program_run(&p, "doctor", "--quick", "--hostfile", hostfile("good1\n"), "--ssh", fake_ssh());
    assert_int_equal(p.exit_code, 0);
    contains(p.out, "==== good1\n");
    contains(p.out, "Training over several nodes is not there yet");
    program_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usable_drive_is_written_and_left_empty), cmocka_unit_test(directories_that_no_run_could_use_fail),
        cmocka_unit_test(a_directory_that_a_run_would_make_passes), cmocka_unit_test(memory_is_no_drive), cmocka_unit_test(the_plan_of_a_named_run_is_a_row), cmocka_unit_test(flags_of_hosts_need_a_hostfile),
        cmocka_unit_test(equal_hosts_are_alike), cmocka_unit_test(differences_are_named_with_their_hosts),
        cmocka_unit_test(a_host_that_is_not_reached_is_a_failure_and_hangs_nothing), cmocka_unit_test(a_host_is_done_when_its_command_is),
        cmocka_unit_test(the_remote_program_can_be_named),
        cmocka_unit_test(arguments_are_quoted_on_their_way),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
