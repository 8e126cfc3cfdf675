// A machine that refuses io_uring: the row says who refuses and what is used meanwhile. The filter is real; it stays with this process.
#include "captured.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void refuse_rings(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) skip();
}

static void expect_remedy(const json_t *report, const char *part)
{
    const char *remedy = text_of(row_of(report, "io_uring"), "remedy");
    if (strstr(remedy, part) == NULL) fail_msg("\"%s\" is not in: %s", part, remedy);
}

static void a_refusal_names_who_refuses(void **state)
{
    put_memory();
    refuse_rings();
    put("/proc/self/status", "Name:\tx\nSeccomp:\t2\n");
    json_t *report = examine("");
    expect_row(report, "io_uring", "note", "refused");
    expect_remedy(report, "seccomp=unconfined");
    expect_remedy(report, "posix engine");
    json_decref(report);
    put("/proc/sys/kernel/io_uring_disabled", "2\n");
    report = examine("");
    expect_remedy(report, "sysctl -w kernel.io_uring_disabled=0");
    json_decref(report);
    run_engine = "io_uring";
    report = examine("");
    expect_row(report, "io_uring", "FAIL", "io_engine asks for it");
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {ROOT_TEST(a_refusal_names_who_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
