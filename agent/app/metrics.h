/* This node for Prometheus: what app/report read, as text in its exposition format 0.0.4 (docs/metrics.md). Labels
 * hold names of this node's configuration and words of this program, never anything of a row. */
#ifndef TANDEM_APP_METRICS_H
#define TANDEM_APP_METRICS_H

#include "app/report.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum {
	METRICS_TEXT_MAX = 1024 * 1024 /* 64 peers with some 25 lines each take a tenth of it */
};

/* What report_read_counts found. Whole tables are counted now and then, so it has a time of its own. */
struct metrics_counts {
	int64_t at_us; /* 0: nothing was counted yet */
	uint64_t pending, synced, failed, superseded;
	uint64_t conflicts, undecided, dirty_tables, new_tables;
	uint64_t queue_bytes, conflict_bytes, sync_bytes, free_bytes;
};
void metrics_take(const struct report *r, struct metrics_counts *out);

/* server: the database server's version. r, counts and server NULL: it cannot be asked. */
void metrics_put(const struct report *r, const struct metrics_counts *counts, const char *server, struct buf *out);
/* The upload folders, from what was counted last as JSON (outlook_counts; "": nothing yet). */
void metrics_put_trees(const char *counts, struct buf *out);
/* A label's value between its quotes. */
void metrics_put_label(struct buf *out, const char *text);

#endif
