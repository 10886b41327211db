/* judge_self.c - alerts about goprofd itself: what it cannot do is told as what a rule finds. */
#include <math.h>

#include "core/base/config.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/problems.h"
#include "lua/judge_parts.h"
#include "lua/ledger.h"

static const char self[] = "goprofd"; /* what such alerts have for a target */

static void raise_problem(struct judge *judge, const struct problem_facts *facts, const char *text,
                          uint64_t now_ns)
{
    /* It holds until it is over; one that comes and goes is a new alert each time. */
    static const struct rule_timing timing = {.pending_ns = 0};
    char id[128];
    char message[ERROR_MESSAGE_MAX_BYTES + 128];
    struct error err;
    bool risen = false;
    (void)snprintf(id, sizeof(id), "%s/%s", self, facts->rule);
    (void)snprintf(message, sizeof(message), "%s: %s", facts->what, text);
    const struct finding finding = {.kind = FINDING_ALERT,
                                    .severity = SEVERITY_WARNING,
                                    .id = id,
                                    .rule = facts->rule,
                                    .target = self,
                                    .message = message,
                                    .source = facts->rule,
                                    .type_name = "",
                                    .tag = "",
                                    .advice = facts->advice,
                                    .doc = facts->doc,
                                    .group = "",
                                    .value = (double)NAN};
    if (!ledger_raise(judge->ledger, &finding, &timing, now_ns, &risen, &err))
        log_error(log_msg("finding lost"), log_str("id", id), log_str("error", err.message));
    else if (risen && !judge->wiring.quiet)
        log_warn(log_msg("alert"), log_str("severity", severity_name(finding.severity)),
                 log_str("id", id), log_str("message", message));
}

void judge_self(struct judge *judge, uint64_t now_ns)
{
    struct problems *problems = board_problems(judge->wiring.board);
    for (size_t i = 0; i < PROBLEM_COUNT; i++) {
        char text[ERROR_MESSAGE_MAX_BYTES];
        if (judge->config->alerting_enabled && problems_get(problems, (enum problem)i, text))
            raise_problem(judge, &problem_facts[i], text, now_ns);
        ledger_settle(judge->ledger, problem_facts[i].rule, self, now_ns);
    }
}
