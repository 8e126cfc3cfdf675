// The progress line: "title [######      ]  42%  12.3/29.0 GB  1.52 GB/s  1m 05s left  note".
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/log_line.h"
#include "common/text.h"

enum { BAR_COLUMNS = 20 };
static const double terminal_period_s = 0.1, plain_period_s = 5;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// A line being composed; what does not fit is cut.
typedef struct {
    char text[512];
    size_t length;
} line;

__attribute__((format(printf, 2, 3))) static void add(line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->length, sizeof l->text - l->length, format, args);
    va_end(args);
    size_t room = sizeof l->text - 1 - l->length;
    l->length += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
}

// Decimal, as drives and links are sold.
static double byte_unit(double bytes, const char **name)
{
    static const struct {
        double bytes;
        const char *name;
    } units[] = {{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}, {1, "B"}};
    int i = 0;
    while (i < 4 && bytes < units[i].bytes) i++;
    *name = units[i].name;
    return units[i].bytes;
}

static void add_amount(line *l, const ft_progress *p)
{
    const char *unit = p->unit;
    double scale = 1;
    bool bytes = strcmp(p->unit, "B") == 0;
    if (bytes) scale = byte_unit(p->total > p->done ? p->total : p->done, &unit);
    int decimals = bytes && scale > 1 ? 1 : 0;
    add(l, "  %.*f", decimals, p->done / scale);
    if (p->total > 0) add(l, "/%.*f", decimals, p->total / scale);
    add(l, " %s", unit);
}

static void add_rate(line *l, const ft_progress *p, double rate)
{
    const char *unit = p->unit;
    if (rate <= 0) return;
    if (strcmp(p->unit, "B") == 0) {
        double scale = byte_unit(rate, &unit);
        add(l, "  %.2f %s/s", rate / scale, unit);
    } else {
        add(l, rate < 100 ? "  %.3g %s/s" : "  %.0f %s/s", rate, unit);
    }
}

static void add_bar(line *l, double fraction)
{
    int full = (int)(fraction * BAR_COLUMNS);
    add(l, " [%.*s%*s]", full, "####################", BAR_COLUMNS - full, "");
}

static void compose(line *l, const ft_progress *p, double now_s, bool bar, const char *note)
{
    char left[FT_HUMAN_BYTES];
    double elapsed_s = now_s - p->start_s;
    double rate = elapsed_s > 0 ? (p->done - p->origin) / elapsed_s : 0;
    double fraction = p->total > 0 ? p->done / p->total : 0;
    fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    *l = (line){.length = 0};
    add(l, "%s", p->title);
    if (p->total > 0 && bar) add_bar(l, fraction);
    if (p->total > 0) add(l, " %3d%%", (int)(fraction * 100));
    add_amount(l, p);
    add_rate(l, p, rate);
    if (rate > 0 && p->total > p->done) add(l, "  %s left", ft_human_seconds(left, (p->total - p->done) / rate));
    if (note[0]) add(l, "  %s", note);
}

static size_t terminal_columns(void)
{
    struct winsize size = {0};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

// Shorter than the terminal is wide, so that it can be overwritten; not in the middle of a UTF-8 character.
static void cut_to_terminal(line *l)
{
    size_t columns = terminal_columns();
    if (l->length < columns) return;
    l->length = columns - 1;
    while (l->length > 0 && ((unsigned char)l->text[l->length] & 0xC0) == 0x80) l->length--;
    l->text[l->length] = 0;
}

static void print(ft_progress *p, double now_s, const char *note)
{
    line l;
    bool in_place = ft_log_in_place();
    compose(&l, p, now_s, in_place, note);
    if (in_place) {
        // Where room is short, the bar says least.
        if (l.length >= terminal_columns()) compose(&l, p, now_s, false, note);
        cut_to_terminal(&l);
        ft_log_status(l.text);
        p->visible = true;
    } else {
        ft_log_line(l.text);
    }
    p->printed_s = now_s;
}

// Records the progress; true if a line is due.
static bool advance(ft_progress *p, double done, double now_s)
{
    p->done = done;
    if (now_s - p->printed_s < terminal_period_s || !ft_log_shows(FT_LOG_INFO)) return false;
    return now_s - p->printed_s >= plain_period_s || ft_log_in_place();
}

void ft_progress_begin(ft_progress *p, const char *title, const char *unit, double total)
{
    double now_s = ft_now_s();
    *p = (ft_progress){.total = total, .start_s = now_s, .printed_s = now_s};
    snprintf(p->title, sizeof p->title, "%s", title);
    snprintf(p->unit, sizeof p->unit, "%s", unit);
    pthread_mutex_lock(&lock);
    if (ft_log_in_place() && ft_log_shows(FT_LOG_INFO)) print(p, now_s, "");
    pthread_mutex_unlock(&lock);
}

void ft_progress_resume(ft_progress *p, double done)
{
    pthread_mutex_lock(&lock);
    p->done = p->origin = done;
    p->start_s = ft_now_s();
    pthread_mutex_unlock(&lock);
}

void ft_progress_update(ft_progress *p, double done)
{
    double now_s = ft_now_s();
    pthread_mutex_lock(&lock);
    if (advance(p, done, now_s)) print(p, now_s, "");
    pthread_mutex_unlock(&lock);
}

void ft_progress_note(ft_progress *p, double done, const char *format, ...)
{
    char note[256];
    double now_s = ft_now_s();
    pthread_mutex_lock(&lock);
    if (advance(p, done, now_s)) {
        va_list args;
        va_start(args, format);
        vsnprintf(note, sizeof note, format, args);
        va_end(args);
        print(p, now_s, note);
    }
    pthread_mutex_unlock(&lock);
}

void ft_progress_end(ft_progress *p)
{
    pthread_mutex_lock(&lock);
    if (p->visible) ft_log_status("");
    p->visible = false;
    pthread_mutex_unlock(&lock);
}
