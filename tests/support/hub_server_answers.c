// The hub's own paths.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "common/file.h"
#include "common/memory.h"
#include "support/hub_server_internal.h"

typedef struct {
    char kind[16], name[256], revision[128], path[1024];
} address;

// KIND/NAME/WORD/REVISION[/PATH] behind `text`, where the revision is one component unless it was sent with %2F.
static bool split_address(const char *kind, const char *text, const char *word, address *out)
{
    const char *at = word[0] ? strstr(text, word) : NULL;
    snprintf(out->kind, sizeof out->kind, "%s", kind);
    snprintf(out->name, sizeof out->name, "%.*s", (int)(at ? (size_t)(at - text) : strlen(text)), text);
    snprintf(out->revision, sizeof out->revision, "main");
    out->path[0] = 0;
    if (at == NULL) return word[0] == 0;
    at += strlen(word);
    size_t n = strcspn(at, "/");
    snprintf(out->revision, sizeof out->revision, "%.*s", (int)n, at);
    if (at[n]) snprintf(out->path, sizeof out->path, "%s", at + n + 1);
    return true;
}

static bool is_guarded(const address *a, const char *how)
{
    const char *slash = strchr(a->name, '/');
    return strncmp(slash ? slash + 1 : a->name, how, strlen(how)) == 0;
}

// Whether the caller may see the repository; answers if not. A gated one's listing is open.
static bool allowed(hub_request *r, const address *a, bool files)
{
    const char *valid = r->options.token;
    bool good = valid && strcmp(r->token, valid) == 0;
    if (r->token[0] && valid && !good) {
        hub_send_error(r, 401, NULL, "Invalid credentials in Authorization header");
    } else if (is_guarded(a, "private") && !good) {
        hub_send_error(r, 401, "RepoNotFound", "Repository not found");
    } else if (is_guarded(a, "gated") && files && !good) {
        hub_send_error(r, r->token[0] ? 403 : 401, "GatedRepo", "Access to this repository is restricted");
    } else {
        return true;
    }
    return false;
}

static bool open_repository(hub_request *r, const address *a, bool files, served_repository *repository)
{
    bool found;
    if (!allowed(r, a, files)) return false;
    if (served_repository_read(repository, r->options.directory, a->kind, a->name, a->revision, &found)) return true;
    hub_send_error(r, found ? 404 : r->token[0] ? 404 : 401, found ? "RevisionNotFound" : "RepoNotFound", found ? "Invalid rev id" : "Repository not found");
    return false;
}

static void answer_info(hub_request *r, const address *a)
{
    served_repository repository;
    if (!open_repository(r, a, false, &repository)) return;
    json_t *siblings = json_array();
    for (int i = 0; i < repository.n; i++) json_array_append_new(siblings, json_pack("{s:s}", "rfilename", repository.files[i].path));
    json_t *json = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:i, s:i, s:[], s:o}", "_id", "1", "id", a->name, "sha", repository.commit, "private",
                             is_guarded(a, "private"), "gated", is_guarded(a, "gated"), "disabled", 0, "downloads", 0, "likes", 0, "tags", "siblings", siblings);
    char *text = json_dumps(json, JSON_COMPACT);
    hub_send_text(r, 200, "Content-Type: application/json\r\n", text);
    free(text);
    json_decref(json);
    served_repository_free(&repository);
}

static json_t *tree_entry(const served_file *file)
{
    json_t *entry = json_pack("{s:s, s:s, s:I, s:s}", "type", "file", "oid", file->git, "size", (json_int_t)file->bytes, "path", file->path);
    if (file->large)
        json_object_set_new(entry, "lfs", json_pack("{s:s, s:I, s:i}", "oid", file->sha256, "size", (json_int_t)file->bytes, "pointerSize", 134));
    return entry;
}

// Folders stand in the listing too.
static void add_folders(json_t *entries, const served_repository *repository)
{
    char last[1024] = "";
    for (int i = 0; i < repository->n; i++) {
        const char *path = repository->files[i].path, *slash = strrchr(path, '/');
        if (slash == NULL || (strncmp(last, path, (size_t)(slash - path)) == 0 && last[slash - path] == 0)) continue;
        snprintf(last, sizeof last, "%.*s", (int)(slash - path), path);
        json_array_append_new(entries, json_pack("{s:s, s:s, s:i, s:s}", "type", "directory", "oid", repository->commit, "size", 0, "path", last));
    }
}

static void answer_tree(hub_request *r, const address *a)
{
    served_repository repository;
    const hub_server_options *options = &r->options;
    if (!open_repository(r, a, false, &repository)) return;
    const char *cursor = strstr(r->query, "cursor=");
    int begin = cursor ? atoi(cursor + 7) : 0, page = options->page ? options->page : 1000;
    json_t *all = json_array(), *entries = json_array();
    char headers[2400] = "Content-Type: application/json\r\n";
    add_folders(all, &repository);
    for (int i = 0; i < repository.n; i++) json_array_append_new(all, tree_entry(&repository.files[i]));
    if (options->evil) json_array_append_new(all, json_pack("{s:s, s:s, s:i, s:s}", "type", "file", "oid", repository.commit, "size", 4, "path", "../../evil"));
    for (int i = begin; i < begin + page && i < (int)json_array_size(all); i++) json_array_append(entries, json_array_get(all, (size_t)i));
    if (begin + page < (int)json_array_size(all))
        snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "Link: <%s%.*s?recursive=true&cursor=%d>; rel=\"next\"\r\n", r->server->endpoint,
                 (int)strcspn(r->target, "?"), r->target, begin + page);
    char *text = json_dumps(entries, JSON_COMPACT);
    hub_send_text(r, 200, headers, text);
    free(text);
    json_decref(entries);
    json_decref(all);
    served_repository_free(&repository);
}

static int new_link(hub_server *server)
{
    pthread_mutex_lock(&server->lock);
    int link = server->n_links++ % (int)(sizeof server->links / sizeof server->links[0]);
    server->links[link] = 0;
    pthread_mutex_unlock(&server->lock);
    return link;
}

static void redirect(hub_request *r, const served_repository *repository, const served_file *file)
{
    char headers[4096];
    hub_server *server = r->server;
    bool once_more = r->options.relative && strstr(r->query, "again") == NULL;
    int n = snprintf(headers, sizeof headers, "X-Repo-Commit: %s\r\nX-Linked-Etag: \"%s\"\r\nX-Linked-Size: %lld\r\n", repository->commit, file->sha256,
                     (long long)file->bytes);
    if (once_more) snprintf(headers + n, sizeof headers - (size_t)n, "Location: %.*s?again=1\r\n", (int)strcspn(r->target, "?"), r->target);
    else
        snprintf(headers + n, sizeof headers - (size_t)n, "Location: http://127.0.0.1:%d%s/%s?signature=%d\r\n", server->port[CDN],
                 repository->directory + strlen(r->options.directory), file->path, new_link(server));
    hub_send_text(r, once_more ? 307 : 302, headers, "Found. Redirecting.");
}

static void answer_resolve(hub_request *r, const address *a)
{
    served_repository repository;
    char headers[512];
    if (!open_repository(r, a, true, &repository)) return;
    const served_file *file = served_repository_find(&repository, a->path);
    if (file == NULL) {
        hub_send_error(r, 404, "EntryNotFound", "Entry not found");
    } else if (file->large && !r->options.direct) {
        redirect(r, &repository, file);
    } else {
        char *path = ft_path_join(repository.directory, file->path);
        snprintf(headers, sizeof headers, "X-Repo-Commit: %s\r\nETag: \"%s\"\r\n", repository.commit, file->large ? file->sha256 : file->git);
        hub_send_file(r, path, file->bytes, headers);
        ft_free(path);
    }
    served_repository_free(&repository);
}

static void count_resolve(hub_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->counts.resolves++;
    pthread_mutex_unlock(&server->lock);
}

static void answer_api(hub_request *r, const char *kind, const char *rest)
{
    address a;
    if (split_address(kind, rest, "/tree/", &a)) answer_tree(r, &a);
    else if (split_address(kind, rest, "/revision/", &a) || split_address(kind, rest, "", &a)) answer_info(r, &a);
}

void hub_answer(hub_request *r)
{
    static const char models[] = "/api/models/", datasets[] = "/api/datasets/", files[] = "/datasets/";
    address a;
    if (strncmp(r->path, models, sizeof models - 1) == 0) {
        answer_api(r, "models", r->path + sizeof models - 1);
    } else if (strncmp(r->path, datasets, sizeof datasets - 1) == 0) {
        answer_api(r, "datasets", r->path + sizeof datasets - 1);
    } else {
        bool dataset = strncmp(r->path, files, sizeof files - 1) == 0;
        if (!split_address(dataset ? "datasets" : "models", r->path + (dataset ? sizeof files - 1 : 1), "/resolve/", &a)) {
            hub_send_error(r, 404, NULL, "no such page");
            return;
        }
        count_resolve(r->server);
        answer_resolve(r, &a);
    }
}

// What a signed address may do is bound to its number.
static bool link_holds(hub_request *r)
{
    hub_server *server = r->server;
    const char *signature = strstr(r->query, "signature=");
    unsigned link = signature ? (unsigned)atoi(signature + 10) : ~0u;
    if (link >= sizeof server->links / sizeof server->links[0]) return false;
    pthread_mutex_lock(&server->lock);
    server->counts.links++;
    bool holds = r->options.link_uses == 0 || server->links[link]++ < r->options.link_uses;
    pthread_mutex_unlock(&server->lock);
    return holds;
}

void hub_answer_cdn(hub_request *r)
{
    int64_t bytes;
    char *path = ft_format("%s%s", r->options.directory, r->path);
    if (!link_holds(r)) hub_send_error(r, 403, NULL, "Request has expired");
    else if (strstr(r->path, "/../") || ft_path_size(path, &bytes) != FT_OK) hub_send_error(r, 404, NULL, "no such key");
    else hub_send_file(r, path, bytes, "ETag: \"d41d8cd98f00b204\"\r\nX-Cache: Hit\r\n");
    ft_free(path);
}
