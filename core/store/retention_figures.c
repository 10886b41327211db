/* retention_figures.c - the table of what is said about retention. */
#include "core/store/retention_figures.h"

#include <string.h>

const struct retention_field retention_fields[RETENTION_FIGURE_COUNT] = {
#define FIELD(member, k, u, text)                                                                  \
    {.name = #member,                                                                              \
     .kind = RETENTION_##k,                                                                        \
     .unit = u,                                                                                    \
     .help = text,                                                                                 \
     .offset = offsetof(struct retention_figures, member)},
    RETENTION_FIELDS(FIELD)
#undef FIELD
};

double retention_figure_get(const struct retention_figures *figures,
                            const struct retention_field *field)
{
    const char *at = (const char *)figures + field->offset;
    if (field->kind == RETENTION_FLAG) {
        bool flag;
        memcpy(&flag, at, sizeof(flag));
        return flag ? 1 : 0;
    }
    double number;
    memcpy(&number, at, sizeof(number));
    return number;
}
