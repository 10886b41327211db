/* address.c - what a listen address may look like. */
#include <criterion/criterion.h>

#include "http/address.h"

static struct address parsed(const char *text)
{
    struct address address;
    struct error err = {0};
    cr_assert(address_parse(text, &address, &err), "%s", err.message);
    return address;
}

static void refuses(const char *text)
{
    struct address address;
    struct error err = {0};
    cr_assert_not(address_parse(text, &address, &err), "%s was accepted", text);
    cr_assert_eq(err.code, ERROR_USAGE);
    cr_assert(err.message[0] != '\0');
}

Test(address, takes_host_and_port)
{
    const struct address address = parsed("127.0.0.1:8080");
    cr_assert_eq(address.kind, ADDRESS_TCP);
    cr_assert_str_eq(address.host, "127.0.0.1");
    cr_assert_eq(address.port, 8080);
}

Test(address, takes_a_port_alone_as_every_interface)
{
    cr_assert_str_eq(parsed(":9090").host, "");
    cr_assert_eq(parsed(":9090").port, 9090);
    cr_assert_eq(parsed("localhost:0").port, 0);
}

Test(address, takes_ipv6_in_brackets_only)
{
    cr_assert_str_eq(parsed("[::1]:80").host, "::1");
    refuses("::1:80");
    refuses("[::1]");
}

Test(address, takes_a_unix_socket)
{
    const struct address address = parsed("unix:/run/goprofd.sock");
    cr_assert_eq(address.kind, ADDRESS_UNIX);
    cr_assert_str_eq(address.path, "/run/goprofd.sock");
    refuses("unix:");
    char text[200] = "unix:";
    memset(text + 5, 'a', 107);
    parsed(text);
    text[5 + 107] = 'a';
    refuses(text);
}

Test(address, refuses_ports_that_are_none)
{
    refuses("");
    refuses("localhost");
    refuses("localhost:");
    refuses("localhost:http");
    refuses("localhost:65536");
    refuses("localhost:-1");
    refuses("localhost:99999999999999999999");
    refuses("localhost:80 ");
    parsed("localhost:65535");
}
