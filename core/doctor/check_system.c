// The system a run stands on: the program itself, the kernel, the ring drives are read through, the clock.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "doctor/check.h"
#include "doctor/sys_files.h"
#include "io/engine.h"

#ifdef FT_HAVE_CUDA
#define DEVICES "cpu, cuda"
#else
#define DEVICES "cpu"
#endif

void ft_check_program(ft_doctor *doctor)
{
    const char *version = doctor->options->version;
    ft_check_ok(doctor, NULL, "%s (devices: " DEVICES ")", version);
    ft_check_fact(doctor, "ft-single", "%s (" DEVICES ")", version);
}

void ft_check_kernel(ft_doctor *doctor)
{
    struct utsname name;
    int major = 0, minor = 0;
    char release[sizeof name.release];
    uname(&name);
    if (!ft_sys_line(doctor->options->root, release, sizeof release, "/proc/sys/kernel/osrelease")) snprintf(release, sizeof release, "%s", name.release);
    sscanf(release, "%d.%d", &major, &minor);
    int version = major * 1000 + minor;
    if (version < 5006)
        ft_check_note(doctor, NULL, "Linux 6.1 or newer reads drives best; before 5.6 the slower posix engine is used", "Linux %s, %s", release, name.machine);
    else if (version < 6001)
        ft_check_note(doctor, NULL, "nothing has to be done; from Linux 6.1 on io_uring interrupts transfers less", "Linux %s, %s", release, name.machine);
    else
        ft_check_ok(doctor, NULL, "Linux %s, %s", release, name.machine);
}

// ---- io_uring

// Reads the beginning of this very program through a ring of its own, and compares.
static ft_status read_through_ring(ft_io_engine *engine, int fd)
{
    _Alignas(FT_IO_ALIGN) static char ring[FT_IO_ALIGN], plain[FT_IO_ALIGN];
    ft_io_request request = {.op = FT_IO_READ, .fd = fd, .buffer = ring, .buffer_index = -1, .bytes = sizeof ring}, *one = &request;
    FT_TRY(engine->row->submit(engine, &one, 1));
    int n = engine->row->reap(engine, &one, 1, true);
    if (n != 1) return n < 0 ? n : ft_error(FT_E_IO, "io_uring: a read was submitted and never came back");
    if (request.result < 0) return ft_error_errno(FT_E_IO, -request.result, "io_uring: a read failed");
    ssize_t expected = pread(fd, plain, sizeof plain, 0);
    bool same = request.result == expected && memcmp(ring, plain, (size_t)expected) == 0;
    return same ? FT_OK : ft_error(FT_E_IO, "io_uring: a read gave other bytes than the file has");
}

static ft_status try_ring(void)
{
    ft_io_engine *engine;
    FT_TRY(ft_io_engine_open(&engine, "io_uring", &(ft_io_options){.depth = 4}));
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ft_status status = fd < 0 ? ft_error_errno(FT_E_IO, errno, "/proc/self/exe") : read_through_ring(engine, fd);
    if (fd >= 0) close(fd);
    engine->row->close(engine);
    return status;
}

// Why the kernel said no, and who can change that.
static const char *uring_remedy(const char *root)
{
#define MEANWHILE "; meanwhile runs use the slower posix engine"
    if (ft_sys_number(root, 0, "/proc/sys/kernel/io_uring_disabled") > 0) return "sysctl -w kernel.io_uring_disabled=0 as root" MEANWHILE;
    if (ft_sys_key(root, "/proc/self/status", "Seccomp", 0) > 0)
        return "a seccomp filter forbids it: docker run --security-opt seccomp=unconfined, or a profile that allows io_uring_*" MEANWHILE;
    return "Linux 5.6 or newer has it" MEANWHILE;
}

void ft_check_uring(ft_doctor *doctor)
{
    bool asked_for = strcmp(doctor->config->io_engine, "io_uring") == 0;
    if (try_ring() == FT_OK) {
        ft_check_ok(doctor, NULL, "a ring was opened and read through");
        return;
    }
    const char *remedy = uring_remedy(doctor->options->root);
    if (asked_for) ft_check_fail(doctor, NULL, remedy, "%s, and io_engine asks for it", ft_error_message());
    else ft_check_note(doctor, NULL, remedy, "%s", ft_error_message());
}

// ---- clock

#define OLDEST_NOW 1735689600  // 2025-01-01: a clock before it was never set

void ft_check_clock(ft_doctor *doctor)
{
    struct timex state = {0};
    time_t now = time(NULL);
    char text[32];
    struct tm day;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &day));
    bool unset = now < OLDEST_NOW, unknown = adjtimex(&state) < 0, drifts = !unknown && (state.status & STA_UNSYNC);
    static const char set_it[] = "timedatectl set-ntp true, or run chronyd on the host";
    if (unset) ft_check_fail(doctor, NULL, "set the clock (timedatectl set-ntp true): TLS refuses certificates of the future", "%s", text);
    else if (drifts) ft_check_note(doctor, NULL, set_it, "%s, not synchronized (NTP)", text);
    else ft_check_ok(doctor, NULL, "%s%s", text, unknown ? "" : ", synchronized");
}
