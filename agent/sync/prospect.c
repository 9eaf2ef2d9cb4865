/* A startup's dry run. Lives here: would the link begin anew, what differs in each table, which tables are missing. Not
 * here: doing it (sync/startup), comparing (sync/compare), what is printed (app/startup). */
#include "sync/prospect.h"

#include <stdio.h>
#include <string.h>

#include "change/filling.h"
#include "sync/define.h"

/* The table that is looked at. */
struct look {
	struct link *link;
	struct prospect *prospect;
	struct prospect_table table;
};

/* --- the link --- */

static bool
note_anew(struct prospect *p, const char *why)
{
	p->anew = true;
	(void)snprintf(p->why, sizeof p->why, "%s", why);
	return true;
}

/* Nothing was ever exchanged: what both have captured so far would be compared instead of sent. */
static bool
look_whether_fresh(struct link *l, struct prospect *p, struct err *e)
{
	struct cursor_state cursor;
	struct peer_state state;

	if (!peer_load(l->db, l->peer->name, &state, e) || !cursor_load(l->db, l->peer->name, false, &cursor, e))
		return false;
	if (state.fresh && cursor.incarnation[0] == '\0')
		(void)note_anew(p, "nothing was exchanged with this peer yet");
	return true;
}

/* A link that is held because one of both is somebody else now can be looked over all the same: only who answers
 * matters, and nothing that is said counts. */
static bool
meet(struct link *l, struct prospect *p, struct err *e)
{
	if (p->copy)
		(void)note_anew(p, "its state counts, and nothing that waits here (--force)");
	if (link_open(l, e))
		return p->anew || look_whether_fresh(l, p, e);
	if (e->code != ERR_HELD || !l->anew_helps)
		return false;
	(void)note_anew(p, e->msg);
	err_clear(e);
	l->fetching = true;
	return link_open(l, e);
}

/* --- tables --- */

static void
show(uint64_t records, void *arg)
{
	struct look *look = arg;

	if (look->prospect->progress != NULL)
		look->prospect->progress(look->table.table, records, look->prospect->arg);
}

/* Where nothing is here: so many would be copied. */
static bool
count_gap(struct asker *a, const struct digest_range *r, bool skip_high, bool frontier, void *arg, struct err *e)
{
	(void)frontier;
	(void)arg;
	return compare_count_there(a, r, skip_high, e);
}

static bool
take_nothing(struct asker *a, const struct compare_take *items, size_t n, void *arg, struct err *e)
{
	(void)a;
	(void)items;
	(void)n;
	(void)arg;
	return err_set(e, ERR_INTERNAL, "a look takes nothing");
}

static bool
pass(struct asker *a, const char *key, size_t key_len, void *arg, struct err *e)
{
	(void)a;
	(void)key;
	(void)key_len;
	(void)arg;
	(void)e;
	return true;
}

static bool
look_at(struct look *look, const struct catalog *c, struct err *e)
{
	const char *name = look->table.table;
	const struct compare_filler counter = { .fill = count_gap, .take = take_nothing, .passed = pass, .arg = look };
	const struct compare_watch watch = { .progress = show, .filler = &counter, .arg = look };
	char problem[ERR_MSG_MAX];

	if (!compare_may_fill(look->link, c, catalog_table(c, name), e) || !compare_table_watched(look->link, c, name, COMPARE_LOOK, &watch, &look->table.found, e)) {
		if (e->code != ERR_PEER_REFUSED && e->code != ERR_INPUT && e->code != ERR_HELD && e->code != ERR_LIMIT)
			return false;
		(void)snprintf(problem, sizeof problem, "%s", e->code == ERR_HELD ? "its rows differ, and how is told when the link has begun anew" : e->msg);
		err_clear(e);
		look->table.problem = problem;
	}
	look->prospect->visit(&look->table, look->prospect->arg);
	return true;
}

static void
note_missing(const char *table, void *arg)
{
	struct prospect *p = arg;

	p->visit(&(struct prospect_table){ .table = table, .missing = true }, p->arg);
}

bool
prospect_look(struct link *l, struct prospect *p, struct err *e)
{
	struct catalog *c = NULL;
	struct filling now;
	bool ok = filling_load(l->db, &now, e) && catalog_read(l->db, l->conf, &c, e) && meet(l, p, e);

	p->goes_on = ok && now.any && strcmp(now.peer, l->peer->name) == 0;
	for (size_t i = 0; ok && i < c->ntables; i++) {
		struct look look = { .link = l, .prospect = p, .table = { .table = c->tables[c->order[i]].name } };

		ok = c->tables[c->order[i]].problem != NULL || look_at(&look, c, e);
	}
	ok = ok && define_look(l, note_missing, p, e);
	catalog_free(c);
	return ok;
}
