/* handlers.h - what the route table names: each answers one request.  Loop threads.
 *
 * A handler looks things up and picks a view; it computes nothing itself. */
#ifndef GOPROFD_HTTP_HANDLERS_H
#define GOPROFD_HTTP_HANDLERS_H

struct request;

/* health.c */
void handle_live(struct request *request);
void handle_ready(struct request *request);

/* index.c */
void handle_root(struct request *request);
void handle_api_index(struct request *request);
void handle_openapi(struct request *request);

/* targets.c */
void handle_targets(struct request *request);
void handle_target(struct request *request);

/* snapshots.c */
void handle_latest(struct request *request);
void handle_history(struct request *request);

/* memory.c */
void handle_memory(struct request *request);

/* tops.c */
void handle_top_allocations(struct request *request);
void handle_top_retentions(struct request *request);

/* findings.c */
void handle_suggestions(struct request *request);
void handle_alerts(struct request *request);
void handle_rules(struct request *request);

/* profiles.c */
void handle_profile_diff(struct request *request);

/* captures.c: answered by the capture thread */
void handle_captures(struct request *request);
void handle_capture(struct request *request);

/* actions.c: answered from another thread */
void handle_capture_heap(struct request *request);
void handle_rules_reload(struct request *request);
void handle_rule(struct request *request);

/* symbols.c */
void handle_pprof_symbol(struct request *request);

/* track.c */
void handle_track(struct request *request);

/* stream.c */
void handle_stream(struct request *request);
void handle_export(struct request *request);

/* metrics.c */
void handle_metrics(struct request *request);

/* pprof.c */
void handle_pprof_index(struct request *request);
void handle_pprof_heap(struct request *request);
void handle_pprof_allocs(struct request *request);
void handle_pprof_cmdline(struct request *request);
void handle_pprof_goroutine(struct request *request);
void handle_pprof_block(struct request *request);
void handle_pprof_mutex(struct request *request);
void handle_pprof_threadcreate(struct request *request);
void handle_pprof_not_yet(struct request *request);

#endif
