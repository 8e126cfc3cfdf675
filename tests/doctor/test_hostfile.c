// Hostfiles as Open MPI writes them, and what is refused of others.
#include "captured.h"

#include "doctor/hostfile.h"

static void hosts_slots_and_comments(void **state)
{
    ft_hosts hosts;
    put("/hosts", "# the cluster\n\nnode1 slots=8\n  me@node2.example.org\tslots=4 max_slots=8 # half\nnode1 slots=2\n10.0.0.3\r\n[fe80::1%eth0]");
    assert_int_equal(ft_hosts_read(&hosts, full_path("/hosts")), FT_OK);
    assert_int_equal(hosts.n, 4);
    assert_string_equal(hosts.host[0].name, "node1");
    assert_int_equal(hosts.host[0].slots, 10);
    assert_string_equal(hosts.host[1].name, "me@node2.example.org");
    assert_int_equal(hosts.host[1].slots, 4);
    assert_string_equal(hosts.host[2].name, "10.0.0.3");
    assert_int_equal(hosts.host[2].slots, 0);
    assert_string_equal(hosts.host[3].name, "[fe80::1%eth0]");
    ft_hosts_free(&hosts);
}

static void mistakes_name_line_and_word(void **state)
{
    static const char *const cases[][2] = {
        {"a\nb slots=x\n", ":2: 'slots=x'"}, {"a slots=0\n", ":1: 'slots=0'"}, {"a cpus=4\n", ":1: 'cpus=4'"}, {"\n\n-oProxyCommand=x\n", ":3: '-oProxyCommand=x'"},
        {"a;reboot\n", ":1: 'a;reboot'"}, {"# none\n", "no hosts"}, {"a slots=99999999999\n", "slots=99999999999"},
        {"a slots=1048576\na slots=1\n", ":2: 'slots=1': a host has at most 1048576 slots"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ft_hosts hosts;
        put("/hosts", cases[i][0]);
        assert_int_equal(ft_hosts_read(&hosts, full_path("/hosts")), FT_E_INPUT);
        if (strstr(ft_error_message(), cases[i][1]) == NULL) fail_msg("\"%s\" is not in \"%s\"", cases[i][1], ft_error_message());
    }
    ft_hosts hosts;
    assert_int_equal(ft_hosts_read(&hosts, "/nope/hosts"), FT_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {ROOT_TEST(hosts_slots_and_comments), ROOT_TEST(mistakes_name_line_and_word)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
