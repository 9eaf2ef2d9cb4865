/* The order of one turn with a peer. */
#include "app/exchange.h"

#include "app/running.h"
#include "base/log.h"
#include "db/schema.h"
#include "files/after.h"

bool
exchange_fetch(const struct conf *conf, const struct conf_peer *peer, struct fetch_report *report, struct err *e)
{
	struct fetch *f = NULL;
	bool ok = !peer->pull || (fetch_new(conf, peer, NULL, &f, e) && fetch_run(f, true, report, e));

	fetch_free(f);
	return ok;
}

/* Rows that waited for their files. */
static bool
send_again(struct drain *d, struct exchange *to, struct err *e)
{
	struct drain_report more;

	if (!drain_run(d, true, &more, e))
		return false;
	to->sent.groups += more.groups;
	to->sent.records += more.records;
	to->sent.owed = more.owed;
	return true;
}

bool
exchange_send(const struct conf *conf, struct drain *d, struct exchange *to, struct err *e)
{
	bool pending = false;

	if (!drain_look(d, true, &pending, e))
		return false;
	to->waits = pending && !drain_has_way(d);
	if (pending && !to->waits && !drain_run(d, true, &to->sent, e))
		return false;
	if (conf->ntrees == 0 || !drain_has_way(d))
		return true;
	if (!drain_files(d, &to->files, e))
		return false;
	return to->files.contents == 0 || !to->sent.owed || send_again(d, to, e);
}

void
exchange_after(const struct conf *conf)
{
	struct node_identity node;
	struct db *db = NULL;
	struct err e;

	for (size_t i = 0; i < conf->ntrees; i++) {
		const struct after_order o = { .conf = conf, .tree = &conf->trees[i], .now = true };

		if (o.tree->after[0] == '\0' || running_is(conf))
			continue;
		if ((db == NULL && (!db_open(&conf->database, &db, &e) || !schema_enter(db, conf, &node, &e))) || !after_run(db, &o, &e)) {
			log_warning(NULL, "tree %s: %s", o.tree->name, e.msg);
			break;
		}
	}
	db_close(db);
}
