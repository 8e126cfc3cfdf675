#include "doctor/route.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor/check.h"
#include "doctor/sys_files.h"

static const ft_check row = {.group = "network", .name = "route"};

// ---- addresses

// "host" of "user@host" and "[::1]".
static void bare_name(const char *name, char bare[256])
{
    const char *at = strrchr(name, '@');
    snprintf(bare, 256, "%s", at ? at + 1 : name);
    size_t n = strlen(bare);
    if (bare[0] == '[' && n > 1 && bare[n - 1] == ']') {
        bare[n - 1] = 0;
        memmove(bare, bare + 1, n - 1);
    }
}

static bool same_address(const struct sockaddr *one, const struct sockaddr *other)
{
    if (one == NULL || one->sa_family != other->sa_family) return false;
    if (one->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)one)->sin_addr.s_addr == ((const struct sockaddr_in *)(const void *)other)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)(const void *)one)->sin6_addr, &((const struct sockaddr_in6 *)(const void *)other)->sin6_addr, 16) == 0;
}

// The device whose address packets to `to` would leave from; *own: it is the target's as well. A connected datagram socket is
// routed, and sends nothing.
static bool leaving_device(const struct addrinfo *to, char device[IF_NAMESIZE], bool *own)
{
    struct sockaddr_storage from = {0};
    struct ifaddrs *all = NULL;
    socklen_t bytes = sizeof from;
    int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool routed = fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) == 0 && getsockname(fd, (struct sockaddr *)&from, &bytes) == 0;
    if (fd >= 0) close(fd);
    bool found = false;
    if (!routed || getifaddrs(&all) != 0) return false;
    for (struct ifaddrs *at = all; at && !found; at = at->ifa_next) {
        found = same_address(at->ifa_addr, (const struct sockaddr *)&from);
        if (found) snprintf(device, IF_NAMESIZE, "%s", at->ifa_name);
    }
    freeifaddrs(all);
    *own = same_address(to->ai_addr, (const struct sockaddr *)&from);
    return found;
}

// ---- devices

static bool is_bridge(const char *root, const char *device)
{
    static const char *const virtual[] = {"docker", "veth", "br-", "virbr", "cni", "flannel", "cali", "lxc"};
    char path[64];
    ft_sys_path found[1];
    for (size_t i = 0; i < sizeof virtual / sizeof virtual[0]; i++)
        if (strncmp(device, virtual[i], strlen(virtual[i])) == 0) return true;
    snprintf(path, sizeof path, "/sys/class/net/%s/bridge", device);
    return ft_sys_glob(root, path, found, 1) > 0;
}

static void say_device(ft_doctor *doctor, const char *name, const char *address, const char *device)
{
    const char *root = doctor->options->root;
    int64_t speed = ft_sys_number(root, -1, "/sys/class/net/%s/speed", device);
    char rate[32] = "speed not told";
    if (speed > 0) snprintf(rate, sizeof rate, "%g Gbit/s", (double)speed / 1000);
    bool infiniband = ft_sys_number(root, 0, "/sys/class/net/%s/type", device) == 32;
    if (is_bridge(root, device))
        ft_check_note(doctor, name, "give the host's address on a network of the machines, or run outside of the container (docker --network host)",
                      "%s through %s, a bridge between containers of this machine", address, device);
    else if (speed > 0 && speed < 10000)
        ft_check_note(doctor, name, "name the hosts by their addresses on the fast network: gradients of every step pass here", "%s through %s, %s", address,
                      device, rate);
    else
        ft_check_ok(doctor, name, "%s through %s%s, %s", address, device, infiniband ? " (InfiniBand)" : "", rate);
}

void ft_route_report(const char *root, const char *name, int fd)
{
    const ft_doctor_options options = {.root = root};
    ft_doctor doctor = {.options = &options, .check = &row, .out = fd};
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_DGRAM};
    char bare[256], address[INET6_ADDRSTRLEN + 1] = "", device[IF_NAMESIZE] = "";
    bool own = false;
    bare_name(name, bare);
    int code = getaddrinfo(bare, "9", &hints, &found);
    if (code != 0) {
        ft_check_note(&doctor, name, "correct the name, or add it to /etc/hosts or to the name server (a Host of ~/.ssh/config serves ssh alone)", "%s",
                      gai_strerror(code));
        return;
    }
    getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
    bool led = leaving_device(found, device, &own);
    if (own) ft_check_ok(&doctor, name, "%s, this machine", address);
    else if (led) say_device(&doctor, name, address, device);
    else ft_check_note(&doctor, name, "look at ip route: no network device leads there", "%s, no route", address);
    freeaddrinfo(found);
}
