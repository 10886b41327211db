/* config_near_miss.h - "did you mean": the word that a misspelt one most likely was meant to be. */
#ifndef GOPROFD_BASE_CONFIG_NEAR_MISS_H
#define GOPROFD_BASE_CONFIG_NEAR_MISS_H

#include <stddef.h>

/* One of [words], or NULL if none is close to [text]. */
const char *config_near_miss(const char *text, const char *const *words, size_t count);

#endif
