/* Columns that differ. Not here: which records differ (sync/compare). */
#include "sync/unlike.h"

#include <stdlib.h>
#include <string.h>

#include "apply/fit.h"
#include "change/record.h"
#include "sync/ask.h"
#include "wire/spool.h"

struct unlike {
	struct asker asker;
	struct spool *spool;
	struct line_value *values; /* key and values of theirs */
	const char **names;
	unlike_visitor *visit;
	void *arg;
};

static bool
fetch(struct unlike *u, const struct digest_list *keys, struct err *e)
{
	struct asker *a = &u->asker;
	struct line_value last;
	uint64_t about;
	bool more;

	if (!ask_begin(a, ASK_FETCH, e))
		return false;
	for (size_t i = 0; i < keys->n && i < COMPARE_FETCH_ITEMS; i++)
		compare_put_key(&a->question, digest_key(keys, &keys->rows[i]), keys->rows[i].key_len, NULL, 0);
	return ask_send(a, &more, e) && compare_parse_last(&a->reader, &last, &about, e) && spool_new(a->l->conf->node.state_dir, &u->spool, e) &&
	    spool_put(u->spool, a->reader.at, a->reader.left, e) && spool_rewind(u->spool, e);
}

/* Our row beside theirs. */
static void
compare_row(const struct unlike *u, const struct db_rows *row)
{
	const struct table *t = u->asker.table;
	size_t n = 0;

	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct fit_value ours = { db_rows_text(row, 1 + i), db_rows_len(row, 1 + i) };
		const struct fit_value theirs = { u->values[1 + i].data, u->values[1 + i].len };

		if (!fit_same(t->columns[i].type, ours, theirs))
			u->names[n++] = t->columns[i].name;
	}
	if (n > 0)
		u->visit(u->values[0].data, u->values[0].len, u->names, n, u->arg);
}

static bool
look_at(const struct unlike *u, struct err *e)
{
	const struct digest *d = &u->asker.digest;
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	record_select(&sql, d->database, d->table);
	buf_str(&sql, " WHERE ");
	ok = (record_put_match(d->db, &sql, d->table, u->values[0].data, u->values[0].len) || err_set(e, ERR_INPUT, "table %s: a malformed key", d->table->name)) &&
	    buf_check(&sql, "a key", e) && db_query(d->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		compare_row(u, rows);
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

static bool
look_at_all(const struct unlike *u, struct err *e)
{
	const struct table *t = u->asker.table;
	char *line;
	size_t len, n;

	for (;;) {
		if (!spool_line(u->spool, &line, &len, e))
			return false;
		if (line == NULL)
			return true;
		if (!line_parse(line, len, u->values, t->ncolumns + 1, &n, e))
			return false;
		if (u->values[0].data == NULL || !digest_key_is_sound(t, u->values[0].data, u->values[0].len))
			return err_set(e, ERR_INPUT, "table %s: peer %s sends a row that is none", t->name, u->asker.l->peer->name);
		if (n == t->ncolumns + 1 && !look_at(u, e))
			return false;
	}
}

bool
unlike_find(struct link *l, const struct catalog *c, const struct table *t, const struct digest_list *keys, unlike_visitor *visit, void *arg, struct err *e)
{
	struct unlike u = { .asker = { .l = l, .table = t, .digest = { .db = l->db, .database = c->database, .table = t } }, .visit = visit, .arg = arg };
	bool ok;

	if (keys->n == 0)
		return true;
	buf_init(&u.asker.question, COMPARE_BODY_MAX);
	buf_init(&u.asker.answer, COMPARE_ANSWER_MAX * 2);
	u.values = calloc(t->ncolumns + 2, sizeof *u.values);
	u.names = calloc(t->ncolumns + 1, sizeof *u.names);
	ok = ((u.values != NULL && u.names != NULL) || err_set(e, ERR_MEMORY, "out of memory for a comparison")) && fetch(&u, keys, e) && look_at_all(&u, e);
	spool_free(u.spool);
	free(u.names);
	free(u.values);
	buf_free(&u.asker.question);
	buf_free(&u.asker.answer);
	return ok;
}
