/* ledger_parts.h - what ledger.c and ledger_store.c share. */
#ifndef GOPROFD_LUA_LEDGER_PARTS_H
#define GOPROFD_LUA_LEDGER_PARTS_H

#include "core/store/finding.h"
#include "lua/ledger.h"

struct ledger_entry {
    const struct finding_set *content; /* a set of one: the finding as last raised */
    uint64_t fingerprint;
    uint64_t pair_key; /* of rule and target */
    enum finding_state state;
    enum severity severity;
    bool silenced;
    uint64_t created_ns;
    uint64_t since_ns;
    uint64_t resolved_ns;
    uint64_t raised_ns;          /* last */
    uint64_t severity_raised_ns; /* last time at this severity or above */
    uint64_t clear_ns;
    uint64_t cooldown_ns;
    uint64_t restored_ns; /* 0: raised since goprofd started */
    uint64_t order;       /* rises with each creation: ties of created_ns */
};

struct ledger {
    size_t count;
    size_t capacity;
    struct ledger_entry *entries;
    const struct config *silences; /* whose silences hold; NULL: none */
    uint64_t sequence;             /* of published sets */
    uint64_t created;
    bool changed;
};

/* Room for one more behind the last; the caller fills it and counts it. */
struct ledger_entry *ledger_add_entry(struct ledger *ledger, struct error *err);
uint64_t ledger_pair_key(const char *rule, const char *target);

#endif
