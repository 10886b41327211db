/* ledger.h - findings over time: what opened, still holds, or closed.
 *
 *            raised             held for for_            not raised for clear_for
 *   (none) --------> pending --------------> firing ------------------------------> resolved
 *                        `--- not raised: dropped      ^-- raised again, after cooldown -'
 *
 * A suggestion is open from the first time it is raised and goes when it was not raised for
 * clear_for.  A severity rises at once and falls only after clear_for, so that a value at a
 * threshold does not flap.  Owned by the rule thread; time comes from outside. */
#ifndef GOPROFD_LUA_LEDGER_H
#define GOPROFD_LUA_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct buffer;
struct config;
struct finding;
struct finding_set;
struct ledger;
struct rule_timing;

enum { LEDGER_ENTRIES_MAX = 2048, LEDGER_RESOLVED_MAX = 256 };
#define LEDGER_RESOLVED_VISIBLE_NS (UINT64_C(900) * 1000000000)
/* A restored finding that nobody raised again by then, or whose target never came back, closes. */
#define LEDGER_RESTORED_GRACE_NS (UINT64_C(300) * 1000000000)

struct ledger *ledger_new(void); /* NULL without memory */
void ledger_free(struct ledger *ledger); /* NULL is allowed */

/* Notes that [finding] holds at [now_ns].  It is copied; what it is follows from its fingerprint.
 * *[risen]: an alert now fires that did not before, or at a higher severity, and is not silenced. */
bool ledger_raise(struct ledger *ledger, const struct finding *finding,
                  const struct rule_timing *timing, uint64_t now_ns, bool *risen,
                  struct error *err) GOPROFD_MUST_CHECK;

/* Silences and unsilences alerts as [config] wants it at [now_ns]; it must outlive the ledger or the next
 * call. */
void ledger_silence(struct ledger *ledger, const struct config *config, uint64_t now_ns);

/* After [rule] judged [target]: what it did not raise at [now_ns] begins to clear. */
void ledger_settle(struct ledger *ledger, const char *rule, const char *target, uint64_t now_ns);

/* Closes at once what is open of this rule (NULL: any) and target (NULL: any). */
void ledger_close(struct ledger *ledger, const char *rule, const char *target, uint64_t now_ns);

/* Whether anything of [target] is open, be it pending. */
bool ledger_has_open(const struct ledger *ledger, const char *target);

/* Open findings of [rule]. */
size_t ledger_open_count(const struct ledger *ledger, const char *rule);

/* Writes what is open, and what is resolved and still visible, as JSON. */
void ledger_write(const struct ledger *ledger, struct buffer *out);

/* Takes over what ledger_write() wrote, perhaps damaged since; for an empty ledger.  What cannot be
 * read is left out; false with the reason if that is everything. */
bool ledger_restore(struct ledger *ledger, const char *text, size_t length, uint64_t now_ns,
                    struct error *err) GOPROFD_MUST_CHECK;

/* A sealed set of all findings, newest first, if anything changed since the last call; else *[set]
 * is NULL.  False without memory. */
bool ledger_publish(struct ledger *ledger, uint64_t now_ns, const struct finding_set **set,
                    struct error *err) GOPROFD_MUST_CHECK;

#endif
