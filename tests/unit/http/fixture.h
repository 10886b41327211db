/* fixture.h - a board built by hand, a server on it, and a client: for every test of this room. */
#ifndef GOPROFD_TESTS_HTTP_FIXTURE_H
#define GOPROFD_TESTS_HTTP_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/config.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/server.h"

struct capturer;

/* 2026-11-23T00:47:32Z */
#define FIXTURE_TIME_NS (UINT64_C(1795394852) * 1000000000)

/* Two targets with everything (demo: two sites, 3 snapshots; api: one site, 1 snapshot) and one
 * that is still waiting and has a hostile name. */
struct board *fixture_board(void);
struct board *fixture_empty_board(void);

/* Two alerts (one resolved) and one suggestion. */
void fixture_findings(struct board *board);
void fixture_rules(struct board *board);

const struct profile *fixture_profile(int64_t scale);

/* A server on a free port of 127.0.0.1. */
struct fixture {
    struct board *board;
    struct config *config;
    struct capturer *capturer;
    struct server_wiring wiring; /* change it before fixture_start() */
    struct server *server;
    char dir[64]; /* captures; removed at the end */
};
void fixture_init(struct fixture *fixture);
/* Before the start: nothing is watched. */
void fixture_use_empty_board(struct fixture *fixture);
void fixture_start(struct fixture *fixture);
void fixture_release(struct fixture *fixture);

/* One HTTP exchange; free with answer_release. */
struct answer {
    int status;
    char *body;
    size_t length;
    char *headers; /* as received, all of them */
};
struct call {
    const char *method; /* NULL: GET */
    const char *path;
    const char *const *headers; /* ends with NULL; or NULL */
    const char *body;           /* NULL: none */
    size_t body_length;
    const char *unix_path; /* instead of TCP */
    uint16_t port;         /* 0: the fixture's main port */
};
struct answer fixture_call(const struct fixture *fixture, const struct call *call);
struct answer fixture_get(const struct fixture *fixture, const char *path);
void answer_release(struct answer *answer);
/* Value of header [name] (case does not matter) copied into [out]; false if not there. */
bool answer_header(const struct answer *answer, const char *name, char *out, size_t size);

/* A plain TCP connection to the fixture's main port. */
int fixture_connect(const struct fixture *fixture);
/* Reads until [part] has come; false if it does not within ten seconds. */
bool fixture_read_until(int fd, char *out, size_t size, const char *part);
/* Reads until the peer closes or [timeout_ms] pass; returns the bytes read.  *[closed] says which.
 */
size_t fixture_read_all(int fd, char *out, size_t size, int timeout_ms, bool *closed);

#endif
