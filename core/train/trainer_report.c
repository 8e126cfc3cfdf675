// What a run says of itself: below the plan, before its first step, and after its last one. Nothing depends on it.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/memory.h"
#include "common/shell_word.h"
#include "train/trainer_internal.h"

static void introduce_steps(const trainer *t)
{
    char time[FT_HUMAN_BYTES], from[48] = "";
    int64_t slots = t->rows_per_step * t->config->sequence_len, left = t->total_steps - t->state.step;
    ft_human_seconds(time, (double)left * t->session.plan.step_seconds);
    if (t->state.step > 0) snprintf(from, sizeof from, " after step %lld", (long long)t->state.step);
    ft_info("Run      %lld steps of %lld tokens: %.3g epochs of %lld steps; by the plan %s of training%s", (long long)t->total_steps, (long long)slots,
            (double)t->total_steps / (double)t->steps_per_epoch, (long long)t->steps_per_epoch, time, from);
}

static void introduce_rate(const trainer *t)
{
    static const char *const courses[] = {[FT_SCHEDULE_CONSTANT] = "constant", [FT_SCHEDULE_LINEAR] = "linear", [FT_SCHEDULE_COSINE] = "cosine"};
    const ft_schedule *s = &t->schedule;
    char end[64] = "", start[64] = "no warm-up";
    if (s->kind != FT_SCHEDULE_CONSTANT) snprintf(end, sizeof end, " to %.3g", s->kind == FT_SCHEDULE_COSINE ? s->peak * s->minimum_ratio : 0);
    if (s->warmup_steps > 0) snprintf(start, sizeof start, "%lld step%s of warm-up", (long long)s->warmup_steps, s->warmup_steps == 1 ? "" : "s");
    ft_info("Rate     learning_rate %.6g, %s, then %s%s", s->peak, start, courses[s->kind], end);
}

static void introduce_evaluation(const trainer *t)
{
    int64_t every = ft_trainer_eval_interval(t);
    if (t->eval_packs.n_rows == 0) ft_info("Eval     none: no test_datasets and no val_set_size");
    else if (every > 0) ft_info("Eval     %lld samples every %lld step%s and at the end", (long long)t->data.eval.n, (long long)every, every == 1 ? "" : "s");
    else ft_info("Eval     %lld samples after every epoch", (long long)t->data.eval.n);
}

static void introduce_saves(const trainer *t)
{
    const ft_config *config = t->config;
    char when[64] = "at the end";
    if (config->save_steps > 0) snprintf(when, sizeof when, "every %lld step%s", (long long)config->save_steps, config->save_steps == 1 ? "" : "s");
    else if (config->saves_per_epoch > 0) snprintf(when, sizeof when, "%lld an epoch", (long long)config->saves_per_epoch);
    else if (config->save_minutes > 0) snprintf(when, sizeof when, "every %g minutes", config->save_minutes);
    ft_info("Saves    %s, the newest %lld kept; Ctrl-C commits the last finished step", when, (long long)config->save_total_limit);
}

// Of a run that starts: one that continues has checkpoints there already.
static void warn_of_room(const trainer *t)
{
    char needs[FT_HUMAN_BYTES], has[FT_HUMAN_BYTES];
    struct statvfs fs;
    int64_t needed = t->session.plan.line[FT_LINE_CHECKPOINTS];
    if (t->options->resume_from || statvfs(t->output, &fs) != 0) return;
    int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    if (needed > room)
        ft_warn("%s: checkpoints take %s, %s are free: make room, or lower save_total_limit", t->output, ft_human_bytes(needs, (double)needed),
                ft_human_bytes(has, (double)room));
}

static void introduce_output(const trainer *t)
{
    ft_text command = {0};
    ft_info("Output   %s", t->output);
    warn_of_room(t);
    bool told = t->config->use_tensorboard && ft_text_puts(&command, "tensorboard --logdir ") == FT_OK && ft_text_add_word(&command, t->output) == FT_OK;
    if (told) ft_info("         to watch: %s", command.data);
    ft_text_free(&command);
}

void ft_trainer_introduce(const trainer *t)
{
    introduce_steps(t);
    introduce_rate(t);
    introduce_evaluation(t);
    introduce_saves(t);
    introduce_output(t);
    fputc('\n', stderr);
}

void ft_trainer_report_times(const trainer *t)
{
    char message[FT_ERROR_MESSAGE_BYTES];  // of a run that failed: told last
    snprintf(message, sizeof message, "%s", ft_error_message());
    ft_text table = {0};
    const ft_meter *meter = ft_model_meter(t->model);
    if (ft_meter_steps(meter) > 0 && ft_meter_report(meter, &t->session.plan, &table) == FT_OK) fprintf(stderr, "%s\n", table.data);
    ft_text_free(&table);
    ft_error_adopt(FT_OK, message);
}
