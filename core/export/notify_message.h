/* notify_message.h - alerts as their receivers want them: Alertmanager's API v2 and its webhook format.
 *
 * Pure functions from findings to JSON.  Sources of the formats: Alertmanager's api/v2/openapi.yaml
 * (postableAlerts) and its documentation of webhook_config, version "4".
 *
 *   labels       alertname (the rule), severity, target, instance (this host), id, type, tag, the rule's own
 *   annotations  summary, description (advice), value, evidence (a line a site), doc */
#ifndef GOPROFD_EXPORT_NOTIFY_MESSAGE_H
#define GOPROFD_EXPORT_NOTIFY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct finding;

/* One alert to be told.  [finding] is borrowed. */
struct notify_item {
    const struct finding *finding;
    uint64_t ended_realtime_ns; /* 0: it is open */
};

/* What every message says of this goprofd. */
struct notify_origin {
    const char *external_url; /* without a slash at its end */
    const char *instance;     /* the host's name */
};

/* An array for POST /api/v2/alerts.  Open alerts end at [expires_realtime_ns] unless told
 * again. */
void notify_message_alertmanager(struct buffer *out, const struct notify_item *items, size_t count,
                                 const struct notify_origin *origin, uint64_t expires_realtime_ns);

/* One webhook message about all of [items]: status "firing" if one of them is open. */
void notify_message_webhook(struct buffer *out, const struct notify_item *items, size_t count,
                            const struct notify_origin *origin, const char *receiver);

/* Stable for one finding: 16 hexadecimal digits. */
enum { NOTIFY_FINGERPRINT_BYTES = 17 };
void notify_fingerprint(const struct finding *finding, char out[NOTIFY_FINGERPRINT_BYTES]);

#endif
