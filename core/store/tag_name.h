/* tag_name.h - Go function names as people say them. */
#ifndef GOPROFD_STORE_TAG_NAME_H
#define GOPROFD_STORE_TAG_NAME_H

#include "core/store/site_tagger.h"

/* Fills [tag] with the short form of a full Go name: the last element of the package's path (the one before a
 * major version), without type arguments and the "-fm" of a method value, cut at TAG_MAX_BYTES:
 *
 *   example.com/shop/cart.(*Cart).load[...]   ->  cart.(*Cart).load
 *   github.com/labstack/echo/v4.New           ->  echo.New
 *   github.com/nats-io/nats%2ego.Connect      ->  nats.go.Connect */
void tag_name_shorten(const char *function, char tag[TAG_ROOM]);

/* Copies [text], cut at a character's border if it is too long; control characters become '?'. */
void tag_name_copy(const char *text, char tag[TAG_ROOM]);

#endif
