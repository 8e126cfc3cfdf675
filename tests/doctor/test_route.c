// The way to a host: names, this machine's own addresses, and network devices as a captured /sys describes them.
#include "captured.h"

#include <sys/mman.h>

#include "doctor/findings.h"
#include "doctor/route.h"

#define ELSEWHERE "192.0.2.1"  // of a network for documentation: routed as any other, and nothing is sent there

// The one row about `name`, new reference.
static json_t *route_to(const char *name)
{
    char text[4096] = "";
    int fd = memfd_create("rows", MFD_CLOEXEC);
    ft_route_report(root, name, fd);
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    close(fd);
    json_t *report = ft_findings_new("x");
    assert_true(ft_findings_take(report, text));
    return report;
}

static void a_name_nobody_knows_is_a_note(void **state)
{
    json_t *report = route_to("me@no-such-host.invalid");
    expect_row(report, "route me@no-such-host.invalid", "note", "");
    json_decref(report);
}

static void own_addresses_are_this_machine(void **state)
{
    json_t *report = route_to("[127.0.0.1]");
    expect_row(report, "route [127.0.0.1]", "ok", "127.0.0.1, this machine");
    json_decref(report);
}

// The device that leads elsewhere, as the row names it; false where nothing does.
static bool leading_device(char device[64])
{
    json_t *report = route_to(ELSEWHERE);
    bool found = sscanf(text_of(row_of(report, "route " ELSEWHERE), "found"), "192.0.2.1 through %63[^,]", device) == 1;
    json_decref(report);
    return found;
}

static void expect_speed(const char *device, const char *speed, const char *verdict, const char *found)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/class/net/%s/speed", device);
    put(path, speed);
    json_t *report = route_to(ELSEWHERE);
    expect_row(report, "route " ELSEWHERE, verdict, found);
    json_decref(report);
}

static void slow_devices_and_bridges_are_notes(void **state)
{
    char device[64], path[128];
    if (!leading_device(device)) skip();
    expect_speed(device, "100000\n", "ok", "100 Gbit/s");
    expect_speed(device, "1000\n", "note", "1 Gbit/s");
    expect_speed(device, "-1\n", "ok", "speed not told");
    snprintf(path, sizeof path, "/sys/class/net/%s/bridge/x", device);
    put(path, "");
    expect_speed(device, "10000\n", "note", "a bridge between containers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOT_TEST(a_name_nobody_knows_is_a_note), ROOT_TEST(own_addresses_are_this_machine), ROOT_TEST(slow_devices_and_bridges_are_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
