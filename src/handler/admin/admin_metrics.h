/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_ADMIN_ADMIN_METRICS_H
#define WSLUICE_HANDLER_ADMIN_ADMIN_METRICS_H

/* All metrics: the Prometheus text format 0.0.4, or OpenMetrics 1.0 when the request's Accept has
 * it. Piece by piece. docs/operating.md lists them. */
#include "core/stream.h"

void admin_metrics_answer(struct stream *s);

#endif
