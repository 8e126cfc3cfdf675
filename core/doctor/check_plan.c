// The run that was named: whether its plan fits this machine, and whether the machine lets it have what the plan takes.
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "common/file.h"
#include "common/memory.h"
#include "doctor/check.h"
#include "doctor/mount.h"
#include "doctor/sys_files.h"
#include "io/hash.h"

static bool names_run(const ft_config *config, const ft_settings *settings)
{
    return config->base_model != NULL || config->geometry != NULL || settings->file != NULL;
}

// ---- plan

// Full fine-tuning is refused by train; the plan says the same.
static ft_status make_plan(ft_doctor *doctor)
{
    ft_settings *settings = doctor->options->settings;
    if (settings->values.adapter == NULL)
        return ft_error(FT_E_UNSUPPORTED, "full fine-tuning is not there yet; set adapter: lora");
    FT_TRY(ft_config_derive_for_plan(settings));
    const ft_session_options options = {.plan_only = true, .train = true};
    return ft_session_open(&doctor->session, settings, &options);
}

static void describe(const ft_plan *plan, ft_text *out)
{
    static const char *const tiers[FT_TIER_COUNT] = {"device", "host", "drives"};
    char bytes[FT_HUMAN_BYTES], limit[FT_HUMAN_BYTES], step[FT_HUMAN_BYTES];
    for (int i = 0; i < FT_TIER_COUNT; i++)
        ft_text_printf(out, "%s%s %s of %s", i ? ", " : "fits: ", tiers[i], ft_human_bytes(bytes, (double)plan->tier_bytes[i]),
                       ft_human_bytes(limit, (double)plan->tier_limit[i]));
    ft_text_printf(out, "; a step of about %s, bound by %s", ft_human_seconds(step, plan->step_seconds), ft_resource_name(plan->binding));
}

// Hosts must mean the same model.
static void say_model(ft_doctor *doctor, const ft_config *config)
{
    char path[PATH_MAX], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/config.json", config->base_model ? config->base_model : "");
    if (config->base_model == NULL || ft_file_read(path, 1 << 20, &text, &bytes) != FT_OK) return;
    ft_check_fact(doctor, "model", "%s, config.json %016llx", config->base_model, (unsigned long long)ft_hash64(text, bytes));
    ft_free(text);
}

void ft_check_plan(ft_doctor *doctor)
{
    ft_text text = {0};
    if (!names_run(doctor->config, doctor->options->settings)) {
        ft_check_ok(doctor, NULL, "none: name a CONFIG.yaml, or --model with --nvme, to see whether a run fits");
        return;
    }
    doctor->planned = make_plan(doctor) == FT_OK;
    if (!doctor->planned) {
        ft_check_error(doctor, NULL, true, "see `ft-single plan` with the same arguments");
        return;
    }
    describe(&doctor->session.plan, &text);
    ft_check_ok(doctor, NULL, "%s", text.data ? text.data : "fits");
    say_model(doctor, doctor->config);
    ft_text_free(&text);
}

// ---- locked memory

// What a run's rings lock: each the whole pinned pool.
static int64_t locked_by_plan(const ft_plan *plan, int drives)
{
    int64_t pool = plan->tier_bytes[FT_TIER_HOST] - plan->line[FT_LINE_PROCESS];
    return pool * (drives > 0 ? drives : 1);
}

// CAP_IPC_LOCK lifts the limit. Root of a container lacks it as a rule.
static bool may_lock_all(const char *root)
{
    char text[32];
    return ft_sys_key_text(root, "/proc/self/status", "CapEff", text, sizeof text) && (strtoull(text, NULL, 16) >> CAP_IPC_LOCK & 1);
}

void ft_check_memlock(ft_doctor *doctor)
{
    static const char raise[] = "ulimit -l unlimited (LimitMEMLOCK=infinity in a unit, --ulimit memlock=-1 for a container, memlock in limits.conf)";
    struct rlimit limit;
    char may[FT_HUMAN_BYTES], wants[FT_HUMAN_BYTES];
    int64_t wanted = doctor->planned ? locked_by_plan(&doctor->session.plan, doctor->config->nvme.n) : 0;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) {
        ft_check_ok(doctor, NULL, "no limit");
        return;
    }
    ft_human_bytes(may, (double)limit.rlim_max);
    ft_human_bytes(wants, (double)wanted);
    if (may_lock_all(doctor->options->root)) ft_check_ok(doctor, NULL, "%s, which CAP_IPC_LOCK lifts", may);
    else if (doctor->planned && wanted > (int64_t)limit.rlim_max)
        ft_check_note(doctor, NULL, raise, "%s, and the plan's rings would lock %s: buffers are not registered, reads cost more CPU time", may, wants);
    else if (doctor->planned) ft_check_ok(doctor, NULL, "%s, the plan's rings lock %s", may, wants);
    else if (limit.rlim_max < (rlim_t)16 << 30)
        ft_check_note(doctor, NULL, raise, "%s: little for the rings of a large model, whose buffers then are not registered", may);
    else ft_check_ok(doctor, NULL, "%s", may);
}

// ---- output

void ft_check_output(ft_doctor *doctor)
{
    char path[PATH_MAX], room_text[FT_HUMAN_BYTES], needs[FT_HUMAN_BYTES];
    struct statvfs fs = {0};
    const char *output = doctor->config->output_dir ? doctor->config->output_dir : "ft-out";
    ft_mount_existing(output, path);
    int64_t room = statvfs(path, &fs) == 0 ? (int64_t)fs.f_bavail * (int64_t)fs.f_frsize : 0;
    int64_t needed = doctor->planned ? doctor->session.plan.line[FT_LINE_CHECKPOINTS] : 0;
    ft_human_bytes(room_text, (double)room);
    ft_human_bytes(needs, (double)needed);
    if (!ft_mount_writable(path))
        ft_check_fail(doctor, NULL, "name a directory that you can write: --output DIR", "%s: %s cannot be written in", output, path);
    else if (needed > room)
        ft_check_fail(doctor, NULL, "make room, name another directory with --output DIR, or lower save_total_limit", "%s: %s free, checkpoints take %s",
                      output, room_text, needs);
    else if (room < (int64_t)1 << 30)
        ft_check_note(doctor, NULL, "make room, or name another directory: --output DIR", "%s: %s free", output, room_text);
    else
        ft_check_ok(doctor, NULL, "%s: %s free", output, room_text);
}
