// What a check is, and how it says what it found. For core/doctor alone.
//
// A check is a row of ft_checks and a function that says one or several rows. It runs in a child process that it may hang or
// crash; what it opens there is closed by the process's end.
#ifndef FT_DOCTOR_CHECK_H
#define FT_DOCTOR_CHECK_H

#include <limits.h>

#include "doctor/doctor.h"
#include "train/trainer.h"

typedef struct ft_doctor ft_doctor;

typedef struct {
    const char *group, *name;
    void (*run)(ft_doctor *doctor);
    double seconds;  // it may take
    bool slow;       // left out by --quick
} ft_check;

extern const ft_check ft_checks[];  // ends with a row without a name

struct ft_doctor {
    const ft_doctor_options *options;
    const ft_config *config;
    const ft_check *check;   // the one that runs
    int out;                 // where rows go, a line of JSON each
    ft_session session;      // of the plan
    bool planned;            // session.plan is there
};

// A row. `subject` tells the rows of one check apart ("GPU 3", a directory), NULL where there is one. `remedy`: one line, what
// to do. What cannot be told to the parent is lost with the child.
void ft_check_ok(ft_doctor *doctor, const char *subject, const char *format, ...) __attribute__((format(printf, 3, 4)));
void ft_check_note(ft_doctor *doctor, const char *subject, const char *remedy, const char *format, ...) __attribute__((format(printf, 4, 5)));
void ft_check_fail(ft_doctor *doctor, const char *subject, const char *remedy, const char *format, ...) __attribute__((format(printf, 4, 5)));
// As note or fail with ft_error_message(): what was found is the part before its last ". " or "; ", the remedy what follows;
// `remedy` is for a message that has neither.
void ft_check_error(ft_doctor *doctor, const char *subject, bool fails, const char *remedy);
// Something hosts are compared by.
void ft_check_fact(ft_doctor *doctor, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

// The i-th directory of --nvme, or what it would be made in where it is not there: a run makes it. NULL where neither is there.
const char *ft_check_drive_place(const ft_doctor *doctor, int i, char place[PATH_MAX]);

// A run takes the CPU device where `auto` finds no GPU it can use; asked for cuda, it fails there.
#define FT_CHECK_CAPABILITY 90  // of the GPUs that the kernels are made for (device/device_cuda.c)
bool ft_check_needs_gpu(const ft_doctor *doctor);

void ft_check_program(ft_doctor *doctor);
void ft_check_kernel(ft_doctor *doctor);
void ft_check_uring(ft_doctor *doctor);
void ft_check_clock(ft_doctor *doctor);
void ft_check_cpu(ft_doctor *doctor);
void ft_check_vectors(ft_doctor *doctor);
void ft_check_cpu_quota(ft_doctor *doctor);
void ft_check_frequency(ft_doctor *doctor);
void ft_check_numa(ft_doctor *doctor);
void ft_check_host_memory(ft_doctor *doctor);
void ft_check_cgroup_memory(ft_doctor *doctor);
void ft_check_huge_pages(ft_doctor *doctor);
void ft_check_swap(ft_doctor *doctor);
void ft_check_overcommit(ft_doctor *doctor);
void ft_check_drives(ft_doctor *doctor);
void ft_check_drive_devices(ft_doctor *doctor);
void ft_check_drive_space(ft_doctor *doctor);
void ft_check_drive_rates(ft_doctor *doctor);
void ft_check_driver(ft_doctor *doctor);
void ft_check_cuda(ft_doctor *doctor);
void ft_check_cublaslt(ft_doctor *doctor);
void ft_check_cudnn(ft_doctor *doctor);
void ft_check_nccl(ft_doctor *doctor);
void ft_check_gpus(ft_doctor *doctor);
void ft_check_gpu_health(ft_doctor *doctor);
void ft_check_gpu_speed(ft_doctor *doctor);
void ft_check_gpu_links(ft_doctor *doctor);
void ft_check_device(ft_doctor *doctor);
void ft_check_curl(ft_doctor *doctor);
void ft_check_token(ft_doctor *doctor);
void ft_check_hub_cache(ft_doctor *doctor);
void ft_check_plan(ft_doctor *doctor);
void ft_check_memlock(ft_doctor *doctor);
void ft_check_output(ft_doctor *doctor);

#endif
