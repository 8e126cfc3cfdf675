// Errors. Every fallible function returns ft_status: 0, or a negative code whose one-line message is kept per thread.
//
// The message is built where the error is found ("what, where (file, key, tensor, byte), what to do"); callers only pass the
// code on. A caller that knows more (which file, which dataset line) may prefix it once with ft_error_prefix. Libraries never
// print and never exit; the command line prints ft_error_message() and exits with ft_status_exit_code().
#ifndef FT_COMMON_STATUS_H
#define FT_COMMON_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int ft_status;

enum {
    FT_OK = 0,
    FT_E_USAGE = -1,        // bad flag or key                                     exit 2
    FT_E_INPUT = -2,        // bad file, model, data or budget                     exit 2
    FT_E_UNSUPPORTED = -3,  // understood, but not implemented: named              exit 2
    FT_E_EXISTS = -4,       // refused because something is already there          exit 2
    FT_E_NOMEM = -5,        // an allocation failed                                exit 1
    FT_E_IO = -6,           // the operating system said no                        exit 1
    FT_E_CORRUPT = -7,      // bytes read are not the bytes written                exit 1
    FT_E_NUMERIC = -8,      // non-finite values                                   exit 1
    FT_E_STOPPED = -9,      // stopped by a signal, state committed                exit 3
    FT_E_INTERNAL = -10,    // a broken promise of our own                         exit 1
    FT_E_NOT_FOUND = -11,   // a thing looked for is absent (callers may handle)   exit 2
    FT_E_BUSY = -12,        // another process holds the lock                      exit 2
    FT_E_DEVICE = -13,      // the accelerator, its driver or a library of it      exit 1
};

// Process exit code of a status: 0 done, 1 failed while running, 2 bad usage or input, 3 stopped and committed.
int ft_status_exit_code(ft_status status);

// Records a message for this thread (printf format, one line, no trailing newline; control characters become ?) and returns
// `status`.
ft_status ft_error(ft_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
// As ft_error, with ": <strerror(errno_value)>" appended.
ft_status ft_error_errno(ft_status status, int errno_value, const char *format, ...) __attribute__((format(printf, 3, 4)));
// Puts "text: " before the recorded message and returns `status`.
ft_status ft_error_prefix(ft_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The last message of this thread, "" if none. Valid until the next error of the thread.
const char *ft_error_message(void);
// Hands a message from a worker thread to its owner: copies `message` into this thread's slot and returns `status`.
ft_status ft_error_adopt(ft_status status, const char *message);

#define FT_ERROR_MESSAGE_BYTES 1024

// Returns from the enclosing function on failure.
#define FT_TRY(expression)                   \
    do {                                     \
        ft_status ft_try_ = (expression);    \
        if (ft_try_ != FT_OK) return ft_try_; \
    } while (0)

// Stores the status in `variable` and jumps to `label` on failure.
#define FT_TRY_GOTO(variable, label, expression) \
    do {                                         \
        (variable) = (expression);               \
        if ((variable) != FT_OK) goto label;     \
    } while (0)

// An assertion that stays on in release: stamps, bounds, states. Prints the condition and aborts.
#define FT_ASSERT(condition, ...) \
    ((condition) ? (void)0 : ft_assert_failed(__FILE__, __LINE__, #condition, " " __VA_ARGS__))
void ft_assert_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

#endif
