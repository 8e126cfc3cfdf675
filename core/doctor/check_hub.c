// What downloads from the Hugging Face hub need: libcurl, a token for gated models (its presence alone is said, never the token),
// and room in the cache (io/hub_cache.h says where that lies).
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "doctor/check.h"
#include "doctor/mount.h"
#include "io/http_library.h"
#include "io/hub_environment.h"

// As a download would load it.
void ft_check_curl(ft_doctor *doctor)
{
    const ft_curl *curl;
    if (ft_curl_load(&curl) != FT_OK) ft_check_error(doctor, NULL, false, "install libcurl anew");
    else ft_check_ok(doctor, NULL, "%.*s", (int)strcspn(curl->version(), " "), curl->version());  // the libraries it uses follow
}

// ---- token

static void say_token(ft_doctor *doctor, const char *path)
{
    struct stat is;
    bool in_variable = ft_hub_variable("HF_TOKEN") || ft_hub_variable("HUGGING_FACE_HUB_TOKEN");
    if (in_variable) ft_check_ok(doctor, NULL, "in the environment");
    else if (stat(path, &is) == 0 && is.st_mode & 077) ft_check_note(doctor, NULL, "chmod 600 the file", "in %s, which others can read", path);
    else ft_check_ok(doctor, NULL, "in %s", path);
}

void ft_check_token(ft_doctor *doctor)
{
    char *token = NULL, *path = ft_hub_token_path();
    ft_status status = ft_hub_token(&token);
    if (status != FT_OK) ft_check_error(doctor, NULL, false, "hf auth login, or set HF_TOKEN to a token of the hub's settings page");
    else if (token == NULL || path == NULL)
        ft_check_ok(doctor, NULL, "none: gated models need one (HF_TOKEN, or hf auth login), public ones do not");
    else say_token(doctor, path);
    ft_free(token);
    ft_free(path);
}

// ---- cache

void ft_check_hub_cache(ft_doctor *doctor)
{
    struct statvfs fs;
    char *path = ft_hub_cache_directory(), part[PATH_MAX], room[FT_HUMAN_BYTES];
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
