/* listener.c - addresses that can be had, and those that cannot: the error names them and the cure.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct fixture fixture;

static void set_up(void)
{
    fixture_init(&fixture);
}

static void tear_down(void)
{
    fixture_release(&fixture);
}

TestSuite(listener, .init = set_up, .fini = tear_down, .timeout = 60);

static void is_alive(void)
{
    struct answer answer = fixture_get(&fixture, "/health/live");
    cr_assert_eq(answer.status, 200);
    answer_release(&answer);
}

static void cannot_start(const char *address, const char *part)
{
    struct error err = {0};
    struct config *config = config_new();
    config->metrics_listen_addr = address;
    const struct server_wiring wiring = {.config = config, .board = fixture.board};
    struct server *server = server_new(&wiring, &err);
    cr_assert_not_null(server);
    cr_assert_not(server_start(server, &err), "%s could be bound", address);
    cr_assert_eq(err.code, ERROR_SYSTEM);
    cr_assert_not_null(strstr(err.message, address), "%s", err.message);
    cr_assert_not_null(strstr(err.message, part), "%s", err.message);
    server_free(server);
    config_free(config);
}

Test(listener, names_address_and_cure_when_the_port_is_taken)
{
    char address[64];
    fixture_start(&fixture);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)server_port(fixture.server));
    cannot_start(address, "Address already in use; stop the program that listens there");
    cannot_start("203.0.113.7:80", "this machine has no such address");
    cannot_start("no-such-host.invalid:80", "metrics_listen_addr");
    is_alive();
}

static const char *socket_path(void)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "unix:%s/api.sock", fixture.dir);
    return path;
}

Test(listener, listens_on_a_unix_socket_and_removes_it)
{
    const char *path = socket_path();
    fixture.config->metrics_listen_addr = path;
    fixture_start(&fixture);
    struct stat status;
    cr_assert_eq(stat(path + 5, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0660);
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/health/ready", .unix_path = path + 5});
    cr_assert_eq(answer.status, 200);
    answer_release(&answer);
    cannot_start(path, "already in use");
    cr_assert_eq(stat(path + 5, &status), 0, "the one in use was left alone");
    server_stop(fixture.server, 0);
    cr_assert_eq(access(path + 5, F_OK), -1);
}

Test(listener, replaces_a_socket_that_nobody_listens_on)
{
    const char *path = socket_path();
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, path + 5, strlen(path + 5) + 1);
    const int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(dead, (const struct sockaddr *)(const void *)&name, sizeof(name)), 0);
    close(dead); /* leaves the file, as a killed daemon does */
    fixture.config->metrics_listen_addr = path;
    fixture_start(&fixture);
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/health/live", .unix_path = path + 5});
    cr_assert_eq(answer.status, 200);
    answer_release(&answer);
}

Test(listener, leaves_a_file_alone_that_is_no_socket)
{
    const char *path = socket_path();
    const int fd = open(path + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, "precious", 8), 8);
    close(fd);
    cannot_start(path, "is no socket");
    cr_assert_eq(access(path + 5, F_OK), 0);
}

Test(listener, leaves_the_socket_of_a_successor_alone)
{
    const char *path = socket_path();
    fixture.config->metrics_listen_addr = path;
    fixture_start(&fixture);
    cr_assert_eq(unlink(path + 5), 0);
    const int fd = open(path + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    server_stop(fixture.server, 0);
    cr_assert_eq(access(path + 5, F_OK), 0);
}

Test(listener, takes_back_the_first_listener_when_the_second_cannot_be_had)
{
    struct error err = {0};
    char taken[64];
    fixture_start(&fixture);
    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", (unsigned)server_port(fixture.server));
    struct config *config = config_new();
    config->metrics_listen_addr = socket_path();
    config->pprof_listen_addr = taken;
    const struct server_wiring wiring = {.config = config, .board = fixture.board};
    struct server *server = server_new(&wiring, &err);
    cr_assert_not(server_start(server, &err));
    cr_assert_not_null(strstr(err.message, "pprof_listen_addr"), "%s", err.message);
    cr_assert_eq(access(socket_path() + 5, F_OK), -1);
    server_free(server);
    config_free(config);
}

Test(listener, listens_on_ipv6_and_by_name)
{
    /* A container may have no IPv6 at all. */
    if (access("/proc/net/if_inet6", F_OK) == 0)
        fixture.config->metrics_listen_addr = "[::1]:0";
    fixture.config->pprof_listen_addr = "localhost:0";
    fixture_start(&fixture);
    cr_assert_neq(server_port(fixture.server), 0);
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/debug/pprof/",
                                              .port = server_pprof_port(fixture.server)});
    cr_assert_eq(answer.status, 200, "localhost is 127.0.0.1 first");
    answer_release(&answer);
}

Test(listener, listens_on_every_interface_for_a_port_alone)
{
    fixture.config->metrics_listen_addr = ":0";
    fixture_start(&fixture);
    is_alive();
}
