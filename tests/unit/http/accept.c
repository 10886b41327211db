/* accept.c - content negotiation, and the id a client sends. */
#include <criterion/criterion.h>

#include "http/reply.h"

static bool json(const char *accept)
{
    return accept_allows(accept, strlen(accept), "application", "json");
}

static bool gzip(const char *accept)
{
    return accept_encoding_allows_gzip(accept, strlen(accept));
}

Test(accept, lets_json_through_for_the_usual_clients)
{
    cr_assert(json(""));
    cr_assert(json("*/*"));
    cr_assert(json("application/json"));
    cr_assert(json("Application/JSON; charset=utf-8"));
    cr_assert(json("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
    cr_assert(json("application/*"));
    cr_assert(json("application/msgpack, application/json;q=0.5"));
}

Test(accept, keeps_json_from_those_who_do_not_want_it)
{
    cr_assert_not(json("application/msgpack"));
    cr_assert_not(json("text/html"));
    cr_assert_not(json("application/json;q=0"));
    cr_assert_not(json("application/json;q=0.000, text/html"));
    cr_assert_not(json("application/json;q=0, */*"), "the most specific range decides");
}

Test(accept, sees_gzip_wherever_it_stands)
{
    cr_assert(gzip("gzip"));
    cr_assert(gzip("deflate, gzip;q=0.5, br"));
    cr_assert(gzip("*"));
    cr_assert(gzip("GZIP"));
    cr_assert_not(gzip(""));
    cr_assert_not(gzip("identity"));
    cr_assert_not(gzip("gzip;q=0"));
    cr_assert_not(gzip("gzip; q=0.0"));
    cr_assert_not(gzip("*;q=0"));
    cr_assert_not(gzip("gzip;q=0, *"));
    cr_assert_not(gzip("notgzip"));
}

Test(accept, survives_separators_alone)
{
    cr_assert(json(",,;;,"));
    cr_assert_not(gzip(";;;,,,q=;"));
    cr_assert(json("   "));
}

static bool msgpack(const char *header)
{
    return accept_asks_msgpack(header, strlen(header));
}

Test(accept, gives_msgpack_only_to_those_who_name_it)
{
    cr_assert(msgpack("application/msgpack"));
    cr_assert(msgpack("application/x-msgpack;q=0.5"));
    cr_assert(msgpack("application/vnd.msgpack, application/json"));
    cr_assert(msgpack("text/html, application/msgpack;q=0.9, */*;q=0.1"));
    cr_assert_not(msgpack("application/json, application/msgpack"));
    cr_assert_not(msgpack("application/msgpack;q=0"));
    cr_assert_not(msgpack("*/*"));
    cr_assert_not(msgpack(""));
}

static bool matches(const char *header)
{
    return if_none_match(header, strlen(header), "W/\"12ab\"");
}

Test(accept, compares_etags_weakly)
{
    cr_assert(matches("W/\"12ab\""));
    cr_assert(matches("\"12ab\""));
    cr_assert(matches("\"x\", W/\"12ab\" "));
    cr_assert(matches("*"));
    cr_assert_not(matches("\"12AB\""));
    cr_assert_not(matches("12ab"));
    cr_assert_not(matches("W/"));
    cr_assert_not(matches(""));
}

Test(accept, gives_openmetrics_to_prometheus)
{
    static const char prometheus[] = "application/openmetrics-text;version=1.0.0;q=0.75,"
                                     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    cr_assert(accept_asks_openmetrics(prometheus, strlen(prometheus)));
    cr_assert_not(accept_asks_openmetrics("text/plain, application/openmetrics-text", 40));
    cr_assert_not(accept_asks_openmetrics("*/*", 3));
}
