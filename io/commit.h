// Atomic commit of a directory of files, and locks.
//
//   ft_commit_begin    makes PARENT/.NAME.tmp-PID (an older leftover of a dead process is removed)
//   ft_commit_path     path of a file inside it, to be written by the caller
//   ft_commit_finish   fsyncs every regular file in it and every directory, renames it to PARENT/NAME, fsyncs PARENT
//   ft_commit_abort    removes it
// A crash at any point leaves either the old state or the complete new directory. If PARENT/NAME exists, finish fails with
// FT_E_EXISTS unless replace is set: then the two are exchanged in one step and the old one is removed after the commit. A file
// system without RENAME_EXCHANGE (NFS) takes two steps, NAME -> .NAME.old-PID and the temporary -> NAME; if the process dies
// between them, the next ft_commit_begin or ft_commit_sweep there puts the old one back.
// When only the fsync of PARENT fails, finish returns the error and the new directory is in place, perhaps not durably.
// Processes are told apart by pid: only one machine and pid namespace may commit into a directory at a time (hold a lock).
#ifndef FT_IO_COMMIT_H
#define FT_IO_COMMIT_H

#include "common/status.h"

typedef struct {
    char *parent, *name, *temporary;
} ft_commit;

ft_status ft_commit_begin(ft_commit *commit, const char *parent, const char *name);
char *ft_commit_path(const ft_commit *commit, const char *file);  // heap
ft_status ft_commit_finish(ft_commit *commit, bool replace);      // frees the struct's members, also on failure (then aborts)
void ft_commit_abort(ft_commit *commit);

// One file: .NAME.tmp-PID beside it, write, fsync, rename, fsync of the parent directory. Replaces an older one.
ft_status ft_commit_file(const char *path, const void *data, size_t bytes);
ft_status ft_sync_directory(const char *path);
// Removes leftovers ".X.tmp-PID" and ".X.old-PID" in `parent` whose process is gone (the latter comes back as X if X is missing).
void ft_commit_sweep(const char *parent);

// Test hook, called before every durable step with its name ("write", "fsync", "rename", "exchange", "fsync-parent"); a non-zero
// return makes the step fail (FT_E_UNSUPPORTED for "exchange": as where the file system has none). NULL = none.
// The environment variable FT_CRASH_AT=n kills the process at the n-th step, counted from 1 over its life.
extern ft_status (*ft_commit_hook)(const char *step);

// Advisory lock on a file (created), held until ft_unlock_file or process end. FT_E_BUSY names the holder's pid.
ft_status ft_lock_file(const char *path, int *lock);
void ft_unlock_file(int lock);

#endif
