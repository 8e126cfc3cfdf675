// GPUs as the driver tells of them: what each is and who uses it, what ails it, what slows it down. No context is made.
//
// Without a GPU the rows say so once: runs then use the CPU device, unless the config asks for cuda.
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "doctor/check.h"
#include "doctor/nvml.h"

// Reasons for lower clocks (nvmlClocksEventReasons). Idle clocks, clocks that were set, and the power limit under load are no fault.
static const struct {
    int64_t bit;
    const char *name, *remedy;  // NULL: said, nothing to be done
} reasons[] = {
    {0x02, "clocks were set", "nvidia-smi --reset-applications-clocks, if nobody set them on purpose"},
    {0x04, "power limit", NULL},
    {0x08, "hardware slowdown", "look at cooling and power supply (nvidia-smi -q -d PERFORMANCE)"},
    {0x20, "thermal limit of the driver", "look at the cooling: fans, airflow, filters"},
    {0x40, "thermal limit of the hardware", "look at the cooling: fans, airflow, filters"},
    {0x80, "power brake of the machine", "look at the power supply: the board asks for less"},
};

static void subject(char text[24], const ft_nvml_gpu *gpu)
{
    snprintf(text, 24, "%d", gpu->index);
}

static const char *number(char text[24], int64_t value, double unit, const char *format)
{
    if (value == FT_NVML_UNKNOWN) return "n/a";
    snprintf(text, 24, format, (double)value / unit);
    return text;
}

// Calls `say` for each GPU that answers: the rows of the driver and of the GPU itself say it of the others.
static void for_each(ft_doctor *doctor, void (*say)(ft_doctor *, const ft_nvml_gpu *))
{
    int n = ft_nvml_open() == FT_OK ? ft_nvml_count() : 0;
    for (int i = 0; i < n; i++) {
        ft_nvml_gpu gpu;
        if (ft_nvml_gpu_read(i, &gpu)) say(doctor, &gpu);
    }
}

// ---- driver

void ft_check_driver(ft_doctor *doctor)
{
    char version[80];
    int cuda;
    bool needed = ft_check_needs_gpu(doctor);
    ft_status status = ft_nvml_open();
    if (status == FT_E_NOT_FOUND) {
        if (needed) ft_check_fail(doctor, NULL, "install NVIDIA's driver, start the container with --gpus all, or use --device cpu", "%s", ft_error_message());
        else ft_check_ok(doctor, NULL, "%s: runs use the CPU device", ft_error_message());
    } else if (status != FT_OK) {
        ft_check_error(doctor, NULL, needed, "nvidia-smi may say more; --device cpu does without");
    } else {
        ft_nvml_driver(version, &cuda);
        ft_check_ok(doctor, NULL, "NVIDIA %s, CUDA up to %d.%d, %d GPU%s", version[0] ? version : "n/a", cuda / 1000, cuda % 1000 / 10, ft_nvml_count(),
                    ft_nvml_count() == 1 ? "" : "s");
        ft_check_fact(doctor, "driver", "%s", version);
    }
}

// ---- what it is

static void describe_users(const ft_nvml_gpu *gpu, ft_text *out)
{
    char size[FT_HUMAN_BYTES];
    for (int i = 0; i < gpu->n_users && i < 4; i++) {
        const ft_nvml_user *user = &gpu->user[i];
        ft_text_printf(out, "%s%u%s%s%s%s%s", i ? ", " : "", user->pid, user->name[0] ? " (" : "", user->name, user->name[0] ? ")" : "",
                       user->bytes == FT_NVML_UNKNOWN ? "" : " ", user->bytes == FT_NVML_UNKNOWN ? "" : ft_human_bytes(size, (double)user->bytes));
    }
    if (gpu->n_users > 4) ft_text_printf(out, " and %d more", gpu->n_users - 4);
}

static const char other_chip[] = "the CUDA kernels compute on 9.0 (H100, H200) only; choose such a GPU with CUDA_VISIBLE_DEVICES, or use --device cpu";

static void say_gpu(ft_doctor *doctor, const ft_nvml_gpu *gpu)
{
    char name[24], capability[24], all[FT_HUMAN_BYTES], room[FT_HUMAN_BYTES], what[320];
    ft_text users = {0};
    subject(name, gpu);
    ft_human_bytes(all, (double)gpu->memory_bytes);
    ft_human_bytes(room, (double)gpu->memory_free);
    snprintf(what, sizeof what, "%s, %s, capability %s, %s, %s free", gpu->name, gpu->pci[0] ? gpu->pci : "n/a",
             number(capability, gpu->capability, 10, "%.1f"),
             gpu->memory_bytes < 0 ? "n/a" : all, gpu->memory_free < 0 ? "n/a" : room);
    describe_users(gpu, &users);
    if (gpu->capability > 0 && gpu->capability != FT_CHECK_CAPABILITY && ft_check_needs_gpu(doctor) && ft_nvml_count_capable(FT_CHECK_CAPABILITY) == 0)
        ft_check_fail(doctor, name, other_chip, "%s", what);
    else if (gpu->capability > 0 && gpu->capability != FT_CHECK_CAPABILITY)
        ft_check_note(doctor, name, other_chip, "%s; runs do not use it", what);
    else if (gpu->compute_mode == 2)
        ft_check_fail(doctor, name, "nvidia-smi -c DEFAULT as root", "%s; its compute mode is Prohibited", what);
    else if (gpu->mig > 0)
        ft_check_note(doctor, name, "a run gets one instance only; nvidia-smi -mig 0 as root gives it the whole GPU", "%s; MIG is on", what);
    else if (gpu->n_users > 0)
        ft_check_note(doctor, name, "end them, choose another GPU with CUDA_VISIBLE_DEVICES, or lower --hbm-budget", "%s; in use by process %s", what,
                      users.data ? users.data : "");
    else if (gpu->memory_free >= 0 && gpu->memory_free < gpu->memory_bytes / 10 * 9)
        ft_check_note(doctor, name, "look for processes in other containers (nvidia-smi on the host), or lower --hbm-budget",
                      "%s; memory is taken by processes that are not seen here", what);
    else
        ft_check_ok(doctor, name, "%s", what);
    ft_text_free(&users);
}

// "8 x NVIDIA H100 80GB HBM3": all of the first one's kind, or each named.
static void say_kinds(ft_doctor *doctor, int n)
{
    ft_text kinds = {0};
    char last[96] = "";
    int run = 0;
    for (int i = 0; i <= n; i++) {
        ft_nvml_gpu gpu = {.name = ""};
        if (i < n) ft_nvml_gpu_read(i, &gpu);
        if (i > 0 && strcmp(gpu.name, last) != 0) ft_text_printf(&kinds, "%s%d x %s", kinds.length ? ", " : "", run, last);
        run = strcmp(gpu.name, last) == 0 ? run + 1 : 1;
        snprintf(last, sizeof last, "%s", gpu.name);
    }
    ft_check_fact(doctor, "GPUs", "%s", kinds.data ? kinds.data : "none");
    ft_text_free(&kinds);
}

void ft_check_gpus(ft_doctor *doctor)
{
    int n = ft_nvml_open() == FT_OK ? ft_nvml_count() : 0;
    for (int i = 0; i < n; i++) {
        ft_nvml_gpu gpu;
        char name[24];
        bool answers = ft_nvml_gpu_read(i, &gpu);
        subject(name, &gpu);
        if (answers) say_gpu(doctor, &gpu);
        else ft_check_fail(doctor, name, "look at dmesg (Xid lines), then reset it (nvidia-smi -r) or reboot", "cannot be asked: %s", gpu.name);
    }
    ft_check_fact(doctor, "GPU count", "%d", n);
    say_kinds(doctor, n);
    if (n == 0) ft_check_ok(doctor, NULL, "none here");
}

// ---- what ails it

static void say_health(ft_doctor *doctor, const ft_nvml_gpu *gpu)
{
    char name[24], what[160], now[24], ever[24], warm[24];
    subject(name, gpu);
    snprintf(what, sizeof what, "ECC %s, uncorrected errors %s now, %s ever; %s; persistence %s", gpu->ecc < 0 ? "n/a" : gpu->ecc ? "on" : "off",
             number(now, gpu->ecc_fatal, 1, "%.0f"), number(ever, gpu->ecc_fatal_ever, 1, "%.0f"), number(warm, gpu->temperature, 1, "%.0f C"),
             gpu->persistence < 0 ? "n/a" : gpu->persistence ? "on" : "off");
    if (gpu->rows_failed > 0)
        ft_check_fail(doctor, name, "have the GPU replaced: it has no spare rows for its broken memory", "%s; row remapping failed", what);
    else if (gpu->rows_pending > 0)
        ft_check_note(doctor, name, "reset it (nvidia-smi -r) or reboot: broken rows are then replaced", "%s; row remapping is pending", what);
    else if (gpu->ecc_fatal > 0)
        ft_check_note(doctor, name, "reset it (nvidia-smi -r); if they come back, have the GPU replaced", "%s", what);
    else if (gpu->ecc == 0)
        ft_check_note(doctor, name, "nvidia-smi -e 1 as root and a reset: a flipped bit would go unnoticed", "%s", what);
    else if (gpu->persistence == 0)
        ft_check_note(doctor, name, "nvidia-smi -pm 1 as root, or run nvidia-persistenced: starts take seconds less", "%s", what);
    else
        ft_check_ok(doctor, name, "%s", what);
}

void ft_check_gpu_health(ft_doctor *doctor)
{
    for_each(doctor, say_health);
}

// ---- what slows it down

static const char *throttle_remedy(int64_t bits, ft_text *names)
{
    const char *remedy = NULL;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (bits < 0 || !(bits & reasons[i].bit)) continue;
        ft_text_printf(names, "%s%s", names->length ? ", " : "; held down by: ", reasons[i].name);
        if (reasons[i].remedy) remedy = reasons[i].remedy;
    }
    return remedy;
}

static void say_speed(ft_doctor *doctor, const ft_nvml_gpu *gpu)
{
    char name[24], what[256], t[8][24];
    ft_text held = {0};
    subject(name, gpu);
    snprintf(what, sizeof what, "%s of %s; SM clock %s of %s; PCIe %s of %s, %s of %s", number(t[0], gpu->power_limit, 1e3, "%.0f W"),
             number(t[1], gpu->power_default, 1e3, "%.0f W"), number(t[2], gpu->clock_sm, 1, "%.0f MHz"), number(t[3], gpu->clock_sm_max, 1, "%.0f MHz"),
             number(t[4], gpu->pcie_generation, 1, "gen %.0f"), number(t[5], gpu->pcie_generation_max, 1, "gen %.0f"),
             number(t[6], gpu->pcie_width, 1, "x%.0f"), number(t[7], gpu->pcie_width_max, 1, "x%.0f"));
    const char *remedy = throttle_remedy(gpu->throttled, &held), *why = held.data ? held.data : "";
    if (remedy) ft_check_note(doctor, name, remedy, "%s%s", what, why);
    else if (gpu->pcie_width > 0 && gpu->pcie_width < gpu->pcie_width_max)
        ft_check_note(doctor, name, "reseat the card, look at riser and slot: layers arrive at the rate of the link", "%s%s", what, why);
    else if (gpu->power_limit > 0 && gpu->power_limit < gpu->power_default)
        ft_check_note(doctor, name, "nvidia-smi -pl with the default, if nobody lowered it on purpose", "%s%s", what, why);
    else if (gpu->pcie_generation > 0 && gpu->pcie_generation < gpu->pcie_generation_max)
        ft_check_note(doctor, name, "nothing has to be done if the GPU is idle: links slow down then; look again during a run", "%s%s", what, why);
    else ft_check_ok(doctor, name, "%s%s", what, why);
    ft_text_free(&held);
}

void ft_check_gpu_speed(ft_doctor *doctor)
{
    for_each(doctor, say_speed);
}
