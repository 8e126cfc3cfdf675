// hub_server DIRECTORY [--KEY VALUE ...]: the hub for tests (hub_server.h) as a program of its own. Prints its endpoint, serves until
// it is killed.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/hub_server.h"

typedef struct {
    const char *flag, *help;
    size_t offset;
    enum { INT, LONG, TEXT, YES } type;
} option;

#define OPTION(flag, field, type, help) {flag, help, offsetof(hub_server_options, field), type}
static const option options[] = {
    OPTION("--port", port, INT, "of the hub (default: any free one)"),
    OPTION("--slow", slow, LONG, "bytes a second and connection"),
    OPTION("--page", page, INT, "entries of a page of the listing"),
    OPTION("--token", token, TEXT, "the valid token, for repositories named private* or gated*"),
    OPTION("--log", log, TEXT, "file that gets a line a request"),
    OPTION("--direct", direct, YES, "large files come without a redirect"),
    OPTION("--relative", relative, YES, "a relative redirect before the one to the CDN"),
    OPTION("--ignore-range", ignore_range, YES, "answer with the whole file"),
    OPTION("--link-uses", link_uses, INT, "a signed address works so often"),
    OPTION("--busy", busy, INT, "the first N requests get 503"),
    OPTION("--refused", refused, INT, "the first N requests get 429"),
    OPTION("--retry-after", retry_after_s, INT, "seconds that a 429 asks to wait"),
    OPTION("--drops", drops, INT, "the first N bodies end in the middle"),
    OPTION("--shorts", shorts, INT, "the first N bodies are announced shorter than asked for"),
    OPTION("--wrongs", wrongs, INT, "the first N bodies have a wrong byte"),
    OPTION("--hangs", hangs, INT, "the first N bodies stop in the middle"),
    OPTION("--drop-after", drop_after, LONG, "bytes of a body before a drop or a hang"),
    OPTION("--evil", evil, YES, "the listing names a path that leads out"),
};
enum { OPTIONS = sizeof options / sizeof options[0] };

static int usage(void)
{
    printf("usage: hub_server DIRECTORY [--KEY VALUE ...]\nDIRECTORY/models/ORG/NAME/... and DIRECTORY/datasets/ORG/NAME/... are its repositories.\n");
    for (int i = 0; i < OPTIONS; i++) printf("  %-15s %s\n", options[i].flag, options[i].help);
    return 2;
}

// Arguments used: 1 or 2; 0 if there is no such option.
static int take(hub_server_options *out, char **argv)
{
    for (int i = 0; i < OPTIONS; i++) {
        char *field = (char *)out + options[i].offset;
        if (strcmp(argv[0], options[i].flag) != 0) continue;
        if (options[i].type != YES && argv[1] == NULL) return 0;
        switch (options[i].type) {
        case INT: *(int *)field = atoi(argv[1]); break;
        case LONG: *(int64_t *)field = atoll(argv[1]); break;
        case TEXT: *(const char **)field = argv[1]; break;
        case YES: *(bool *)field = true; return 1;
        }
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    hub_server_options out = {0};
    if (argc < 2 || argv[1][0] == '-') return usage();
    out.directory = argv[1];
    for (int i = 2, n; i < argc; i += n)
        if ((n = take(&out, argv + i)) == 0) return usage();
    hub_server *server = hub_server_start(&out);
    if (server == NULL) return 1;
    printf("%s\n", hub_server_endpoint(server));
    fflush(stdout);
    for (;;) pause();
}
