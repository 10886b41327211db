/* site_growth.c - keeps the table of sites over profiles small and recent.
 *
 *   profile -> pick the largest sites -> update or add rows -> new column
 *
 * Called by history.c for each new profile, read through the rules' target object. */
#include "lua/site_growth.h"

#include "core/store/profile.h"

enum {
    PICK_INUSE = 64, /* the largest so many by bytes in use, and by bytes ever allocated */
    PICK_ALLOC = 32,
    DENSE_COLUMNS = 16, /* the newest ones are never thinned */
    SLOTS = 256,        /* of the hash table; more than twice the rows */
};
_Static_assert(PICK_INUSE + PICK_ALLOC <= SITE_GROWTH_ROWS, "every picked site must find a row");
_Static_assert((SLOTS & (SLOTS - 1)) == 0 && SLOTS > 2 * SITE_GROWTH_ROWS, "open addressing");

static const int64_t UNKNOWN = -1;

struct row {
    const struct site *site;
    bool wanted; /* among the largest of the newest profile */
    int64_t values[2][SITE_GROWTH_COLUMNS];
};

struct site_growth {
    struct site_table *sites; /* one hold, so that its address stays ours; NULL before the first */
    uint64_t cycle;
    size_t column_count;
    uint64_t times_ns[SITE_GROWTH_COLUMNS];
    int64_t totals[2][SITE_GROWTH_COLUMNS];
    size_t row_count;
    size_t row_capacity;
    struct row *rows;
    uint8_t slots[SLOTS]; /* row + 1, by site id */
};

struct site_growth *site_growth_new(void)
{
    return calloc(1, sizeof(struct site_growth));
}

static void forget_all(struct site_growth *growth)
{
    if (growth->sites != NULL)
        site_table_unref(growth->sites);
    growth->sites = NULL;
    growth->column_count = 0;
    growth->row_count = 0;
    memset(growth->slots, 0, sizeof(growth->slots));
}

void site_growth_free(struct site_growth *growth)
{
    if (growth == NULL)
        return;
    forget_all(growth);
    free(growth->rows);
    free(growth);
}

size_t site_growth_bytes(const struct site_growth *growth)
{
    return sizeof(*growth) + growth->row_capacity * sizeof(growth->rows[0]);
}

/* ---- rows by site ---- */

static size_t slot_of(const struct site_growth *growth, uint32_t site_id)
{
    size_t at = (site_id * UINT32_C(2654435769)) >> 24;
    while (growth->slots[at] != 0 && growth->rows[growth->slots[at] - 1].site->id != site_id)
        at = (at + 1) & (SLOTS - 1);
    return at;
}

static struct row *find_row(const struct site_growth *growth, uint32_t site_id)
{
    const uint8_t row = growth->slots[slot_of(growth, site_id)];
    return row != 0 ? &growth->rows[row - 1] : NULL;
}

static void rebuild_slots(struct site_growth *growth)
{
    memset(growth->slots, 0, sizeof(growth->slots));
    for (size_t i = 0; i < growth->row_count; i++)
        growth->slots[slot_of(growth, growth->rows[i].site->id)] = (uint8_t)(i + 1);
}

/* ---- picking the largest ---- */

struct pick {
    int64_t value;
    const struct profile_entry *entry;
};

/* Keeps the [capacity] largest in a heap whose root is the smallest of them. */
static void pick_offer(struct pick *heap, size_t *count, size_t capacity, struct pick offer)
{
    size_t at;
    if (*count < capacity) {
        for (at = (*count)++; at > 0 && heap[(at - 1) / 2].value > offer.value; at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = offer;
        return;
    }
    if (offer.value <= heap[0].value)
        return;
    at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= *count)
            break;
        if (child + 1 < *count && heap[child + 1].value < heap[child].value)
            child++;
        if (heap[child].value >= offer.value)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = offer;
}

struct picks {
    struct pick inuse[PICK_INUSE];
    struct pick alloc[PICK_ALLOC];
    size_t inuse_count;
    size_t alloc_count;
};

static void pick_largest(const struct profile *profile, struct picks *picks)
{
    picks->inuse_count = 0;
    picks->alloc_count = 0;
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct profile_entry *entry = &profile->entries[i];
        if (entry->inuse_bytes > 0)
            pick_offer(picks->inuse, &picks->inuse_count, PICK_INUSE,
                       (struct pick){entry->inuse_bytes, entry});
        if (entry->alloc_bytes > 0)
            pick_offer(picks->alloc, &picks->alloc_count, PICK_ALLOC,
                       (struct pick){entry->alloc_bytes, entry});
    }
}

/* ---- columns ---- */

static void drop_column(struct site_growth *growth, size_t column)
{
    const size_t behind = growth->column_count - column - 1;
    memmove(&growth->times_ns[column], &growth->times_ns[column + 1],
            behind * sizeof(growth->times_ns[0]));
    for (size_t m = 0; m < 2; m++) {
        memmove(&growth->totals[m][column], &growth->totals[m][column + 1],
                behind * sizeof(int64_t));
        for (size_t i = 0; i < growth->row_count; i++)
            memmove(&growth->rows[i].values[m][column], &growth->rows[i].values[m][column + 1],
                    behind * sizeof(int64_t));
    }
    growth->column_count--;
}

/* Drops what is older than [since_ns], then, if there is still no room, the column that stands
 * closest between its neighbours, so that the rest covers the time evenly. */
static void make_column_room(struct site_growth *growth, uint64_t since_ns)
{
    while (growth->column_count > 0 && growth->times_ns[0] < since_ns)
        drop_column(growth, 0);
    if (growth->column_count < SITE_GROWTH_COLUMNS)
        return;
    size_t closest = 1;
    uint64_t closest_gap_ns = UINT64_MAX;
    for (size_t i = 1; i + DENSE_COLUMNS < SITE_GROWTH_COLUMNS; i++) {
        const uint64_t gap_ns = growth->times_ns[i + 1] - growth->times_ns[i - 1];
        if (gap_ns < closest_gap_ns) {
            closest_gap_ns = gap_ns;
            closest = i;
        }
    }
    drop_column(growth, closest);
}

/* ---- rows ---- */

static bool reserve_rows(struct site_growth *growth, size_t wanted)
{
    if (wanted > SITE_GROWTH_ROWS)
        wanted = SITE_GROWTH_ROWS;
    if (wanted <= growth->row_capacity)
        return true;
    size_t capacity = growth->row_capacity > 0 ? growth->row_capacity : 8;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity > SITE_GROWTH_ROWS)
        capacity = SITE_GROWTH_ROWS;
    struct row *rows = realloc(growth->rows, capacity * sizeof(*rows));
    if (rows == NULL)
        return false;
    growth->rows = rows;
    growth->row_capacity = capacity;
    return true;
}

static size_t mark_wanted(struct site_growth *growth, const struct pick *picks, size_t count)
{
    size_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        struct row *row = find_row(growth, picks[i].entry->site->id);
        if (row != NULL)
            row->wanted = true;
        else
            missing++;
    }
    return missing;
}

/* Gives up rows that are no longer among the largest, as far as [missing] new ones need room. */
static void make_row_room(struct site_growth *growth, size_t missing)
{
    size_t kept = 0;
    size_t excess = growth->row_count + missing > SITE_GROWTH_ROWS
                        ? growth->row_count + missing - SITE_GROWTH_ROWS
                        : 0;
    for (size_t i = 0; i < growth->row_count; i++) {
        if (excess > 0 && !growth->rows[i].wanted) {
            excess--;
            continue;
        }
        if (kept != i)
            growth->rows[kept] = growth->rows[i];
        kept++;
    }
    growth->row_count = kept;
    rebuild_slots(growth);
}

static void add_missing_rows(struct site_growth *growth, const struct pick *picks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct site *site = picks[i].entry->site;
        const size_t slot = slot_of(growth, site->id);
        if (growth->slots[slot] != 0 || growth->row_count == growth->row_capacity)
            continue;
        struct row *row = &growth->rows[growth->row_count++];
        row->site = site;
        row->wanted = true;
        for (size_t column = 0; column < growth->column_count; column++)
            row->values[0][column] = row->values[1][column] = UNKNOWN;
        growth->slots[slot] = (uint8_t)growth->row_count;
    }
}

static void fill_column(struct site_growth *growth, const struct profile *profile, uint64_t now_ns)
{
    const size_t column = growth->column_count++;
    growth->times_ns[column] = now_ns;
    growth->totals[SITE_INUSE_BYTES][column] = profile->totals.inuse_bytes;
    growth->totals[SITE_ALLOC_BYTES][column] = profile->totals.alloc_bytes;
    /* A site that the profile no longer lists holds nothing; of one that lists but the largest that cannot be
     * said: it stays at what was known of it. */
    for (size_t i = 0; i < growth->row_count; i++) {
        for (size_t m = 0; m < 2; m++) {
            int64_t *values = growth->rows[i].values[m];
            values[column] = profile->largest_only && column > 0 ? values[column - 1] : 0;
        }
    }
    for (size_t i = 0; i < profile->entry_count; i++) {
        struct row *row = find_row(growth, profile->entries[i].site->id);
        if (row == NULL)
            continue;
        if (profile->largest_only) /* lists each once */
            row->values[SITE_INUSE_BYTES][column] = row->values[SITE_ALLOC_BYTES][column] = 0;
        row->values[SITE_INUSE_BYTES][column] += profile->entries[i].inuse_bytes;
        row->values[SITE_ALLOC_BYTES][column] += profile->entries[i].alloc_bytes;
    }
}

bool site_growth_add(struct site_growth *growth, const struct profile *profile, uint64_t now_ns,
                     uint64_t since_ns)
{
    if (growth->sites != profile->sites) {
        forget_all(growth);
        growth->sites = site_table_ref(profile->sites);
    } else if (growth->column_count > 0 && growth->cycle == profile->cycle) {
        return true;
    }
    struct picks picks;
    pick_largest(profile, &picks);
    if (!reserve_rows(growth, growth->row_count + picks.inuse_count + picks.alloc_count))
        return false;
    growth->cycle = profile->cycle;
    make_column_room(growth, since_ns);
    for (size_t i = 0; i < growth->row_count; i++)
        growth->rows[i].wanted = false;
    const size_t missing = mark_wanted(growth, picks.inuse, picks.inuse_count) +
                           mark_wanted(growth, picks.alloc, picks.alloc_count);
    make_row_room(growth, missing);
    add_missing_rows(growth, picks.inuse, picks.inuse_count);
    add_missing_rows(growth, picks.alloc, picks.alloc_count);
    fill_column(growth, profile, now_ns);
    return true;
}

/* ---- series ---- */

static size_t first_column(const struct site_growth *growth, uint64_t since_ns)
{
    size_t column = 0;
    while (column < growth->column_count && growth->times_ns[column] < since_ns)
        column++;
    return column;
}

static void set_point(const struct site_growth *growth, struct trend_point *points, size_t at,
                      size_t first, size_t column, double value)
{
    points[at].seconds = (double)(growth->times_ns[column] - growth->times_ns[first]) / 1e9;
    points[at].value = value;
}

size_t site_growth_of_site(const struct site_growth *growth, uint32_t site_id,
                           enum site_measure measure, uint64_t since_ns,
                           struct trend_point points[SITE_GROWTH_COLUMNS])
{
    const struct row *row = find_row(growth, site_id);
    if (row == NULL)
        return 0;
    size_t first = first_column(growth, since_ns);
    while (first < growth->column_count && row->values[measure][first] == UNKNOWN)
        first++;
    size_t count = 0;
    for (size_t column = first; column < growth->column_count; column++)
        set_point(growth, points, count++, first, column, (double)row->values[measure][column]);
    return count;
}

bool site_growth_change(const struct site_growth *growth, uint32_t site_id, uint64_t since_ns,
                        double changes[2], double *seconds)
{
    const struct row *row = find_row(growth, site_id);
    if (row == NULL)
        return false;
    size_t first = first_column(growth, since_ns);
    while (first < growth->column_count && row->values[SITE_INUSE_BYTES][first] == UNKNOWN)
        first++;
    if (first + 1 >= growth->column_count)
        return false;
    const size_t last = growth->column_count - 1;
    for (size_t m = 0; m < 2; m++)
        changes[m] = (double)(row->values[m][last] - row->values[m][first]);
    *seconds = (double)(growth->times_ns[last] - growth->times_ns[first]) / 1e9;
    return true;
}

size_t site_growth_of_group(const struct site_growth *growth, const char *type_name,
                            const char *tag, uint64_t since_ns,
                            struct trend_point points[SITE_GROWTH_COLUMNS])
{
    const size_t first = first_column(growth, since_ns);
    const size_t count = growth->column_count - first;
    bool found = false;
    for (size_t at = 0; at < count; at++)
        set_point(growth, points, at, first, first + at, 0);
    for (size_t i = 0; i < growth->row_count; i++) {
        const struct row *row = &growth->rows[i];
        if (strcmp(row->site->type_name, type_name) != 0 || strcmp(row->site->tag, tag) != 0)
            continue;
        found = true;
        size_t known = first;
        while (known < growth->column_count && row->values[SITE_INUSE_BYTES][known] == UNKNOWN)
            known++;
        for (size_t at = 0; at < count; at++) {
            const size_t column = first + at < known ? known : first + at;
            points[at].value += (double)row->values[SITE_INUSE_BYTES][column];
        }
    }
    return found ? count : 0;
}

size_t site_growth_of_all(const struct site_growth *growth, enum site_measure measure,
                          uint64_t since_ns, struct trend_point points[SITE_GROWTH_COLUMNS])
{
    const size_t first = first_column(growth, since_ns);
    size_t count = 0;
    for (size_t column = first; column < growth->column_count; column++)
        set_point(growth, points, count++, first, column, (double)growth->totals[measure][column]);
    return count;
}
