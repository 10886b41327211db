/* quantity.h - numbers with units, as rules and their overrides write them.
 *
 *   "64MiB" bytes   "256KiB/s" bytes a second   "10m" seconds   "30%" percent   "5/s"   "12"
 *
 * A rule gets plain numbers in base units (bytes, seconds, percent; rates per second). */
#ifndef GOPROFD_LUA_QUANTITY_H
#define GOPROFD_LUA_QUANTITY_H

#include <stdbool.h>

enum quantity_unit { QUANTITY_PLAIN, QUANTITY_BYTES, QUANTITY_SECONDS, QUANTITY_PERCENT };

struct quantity {
    double value;
    enum quantity_unit unit;
    bool per_second;
};

/* False if [text] is not a quantity. */
bool quantity_parse(const char *text, struct quantity *quantity);

/* Whether [given] may stand where [wanted] is the default: the same unit, or a plain number. */
bool quantity_fits(const struct quantity *given, const struct quantity *wanted);

/* What [quantity] is, for messages: "a size like \"64MiB\"". */
const char *quantity_example(const struct quantity *quantity);

#endif
