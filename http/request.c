/* request.c - which target a request means.  Loop thread. */
#include "http/request.h"

#include "core/base/config.h"
#include "core/store/board.h"
#include "http/reply.h"
#include "http/server.h"

const struct board_page *request_page(struct request *request)
{
    if (request->page_ == NULL)
        request->page_ = board_page(request->wiring->board);
    return request->page_;
}

static const struct target_view *find_or_404(struct request *request, const char *name)
{
    const struct target_view *view = board_page_find(request_page(request), name);
    if (view == NULL)
        reply_error(request->req, 404,
                    "no target with id or name \"%.100s\"; GET /v1/targets lists them", name);
    return view;
}

const struct target_view *request_target(struct request *request)
{
    const struct board_page *page = request_page(request);
    if (request->query.target != NULL)
        return find_or_404(request, request->query.target);
    if (page->target_count == 0) {
        reply_error(request->req, 503, "no target is watched yet");
        return NULL;
    }
    const struct target_view *view = NULL;
    if (page->target_count > 1 && request->wiring->config->default_target[0] != '\0')
        view = board_page_find(page, request->wiring->config->default_target);
    return view != NULL ? view : &page->targets[0];
}

bool request_target_or_all(struct request *request, const struct target_view **view)
{
    *view = NULL;
    if (request->query.target == NULL)
        return true;
    *view = find_or_404(request, request->query.target);
    return *view != NULL;
}
