// What downloads from the Hugging Face hub need: libcurl, a token for gated models (its presence alone is said, never the token),
// and room in the cache (io/hub_cache.h says where that lies).
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "doctor/check.h"
#include "doctor/mount.h"

void ft_check_curl(ft_doctor *doctor)
{
    const char *(*version)(void) = NULL;
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library) *(void **)&version = dlsym(library, "curl_version");
    if (version) ft_check_ok(doctor, NULL, "%.*s", (int)strcspn(version(), " "), version());  // the libraries it uses follow
    else ft_check_note(doctor, NULL, "apt-get install libcurl4 (libcurl on Fedora); models on this machine's drives do without",
                       "libcurl.so.4 is not here: nothing can be downloaded");
}

// ---- token

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

// $HF_HOME, else $XDG_CACHE_HOME/huggingface, else $HOME/.cache/huggingface. Heap.
static char *hub_home(void)
{
    const char *home = variable("HF_HOME"), *cache = variable("XDG_CACHE_HOME");
    if (home) return ft_strdup(home);
    if (cache) return ft_path_join(cache, "huggingface");
    return ft_path_join(variable("HOME") ? variable("HOME") : "", ".cache/huggingface");
}

static char *token_path(void)
{
    if (variable("HF_TOKEN_PATH")) return ft_strdup(variable("HF_TOKEN_PATH"));
    char *home = hub_home(), *path = home ? ft_path_join(home, "token") : NULL;
    ft_free(home);
    return path;
}

void ft_check_token(ft_doctor *doctor)
{
    struct stat is = {0};
    char *path = token_path();
    if (variable("HF_TOKEN")) ft_check_ok(doctor, NULL, "in HF_TOKEN");
    else if (path == NULL || stat(path, &is) != 0 || is.st_size == 0)
        ft_check_ok(doctor, NULL, "none: gated models need one (HF_TOKEN, or hf auth login), public ones do not");
    else if (is.st_mode & 077) ft_check_note(doctor, NULL, "chmod 600 the file", "in %s, which others can read", path);
    else ft_check_ok(doctor, NULL, "in %s", path);
    ft_free(path);
}

// ---- cache

static char *cache_path(void)
{
    if (variable("HF_HUB_CACHE")) return ft_strdup(variable("HF_HUB_CACHE"));
    char *home = hub_home(), *path = home ? ft_path_join(home, "hub") : NULL;
    ft_free(home);
    return path;
}

void ft_check_hub_cache(ft_doctor *doctor)
{
    struct statvfs fs;
    char *path = cache_path(), part[PATH_MAX], room[FT_HUMAN_BYTES];
    if (path == NULL) return;
    ft_mount_existing(path, part);
    if (!ft_mount_writable(part))
        ft_check_note(doctor, NULL, "set HF_HUB_CACHE or HF_HOME to a directory that you can write", "%s cannot be written", path);
    else if (statvfs(part, &fs) != 0)
        ft_check_ok(doctor, NULL, "%s", path);
    else
        ft_check_ok(doctor, NULL, "%s, %s free", path, ft_human_bytes(room, (double)fs.f_bavail * (double)fs.f_frsize));
    ft_free(path);
}
