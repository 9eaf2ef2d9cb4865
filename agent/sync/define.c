/* Creating tables. Lives here: asking for definitions, which tables are missing, the statements. Not here: what a
 * definition may say (db/blueprint). */
#include "sync/define.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "capture/template.h"
#include "db/blueprint.h"
#include "wire/compare.h"

enum {
	TABLES_MAX = 4096 /* created by one call */
};

/* One table to be created. */
struct missing {
	char *name, *definition;
};

struct defining {
	struct link *link;
	struct db *db; /* of its own, in the app's database */
	struct missing *tables;
	size_t n, cap;
	bool names; /* are all that is asked for */
};

/* --- what is missing --- */

static bool
is_here(struct defining *d, const char *name, bool *here, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(d->db, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=?", DB_ARGS(db_text(name)), &n, NULL, e);

	*here = n > 0;
	return ok;
}

static bool
add(struct defining *d, const char *name, const struct line_value *text, struct err *e)
{
	const char *definition = text->data;
	struct missing *m;

	if (!d->names && !blueprint_check(text->data, text->len, name, &definition, e))
		return false;
	if (d->n == TABLES_MAX)
		return err_set(e, ERR_LIMIT, "more than %d tables are missing here", TABLES_MAX);
	if (d->n == d->cap) {
		size_t cap = d->cap == 0 ? 16 : d->cap * 2;

		m = realloc(d->tables, cap * sizeof *m);
		if (m == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for definitions");
		d->tables = m;
		d->cap = cap;
	}
	m = &d->tables[d->n++];
	memset(m, 0, sizeof *m);
	m->name = strdup(name);
	m->definition = strndup(definition, text->len - (size_t)(definition - text->data));
	return (m->name != NULL && m->definition != NULL) || err_set(e, ERR_MEMORY, "out of memory for definitions");
}

static bool
take_definition(struct defining *d, const struct compare_reader *r, struct err *e)
{
	struct line_value name, text;
	bool here;

	if (!compare_parse_definition(r, &name, &text, e))
		return false;
	if (!conf_wants_table(d->link->conf, name.data))
		return true;
	return is_here(d, name.data, &here, e) && (here || add(d, name.data, &text, e));
}

static bool
ask(struct defining *d, struct buf *answer, struct err *e)
{
	struct link *l = d->link;
	struct compare_reader r;
	struct buf question;
	int status = 0;
	bool more, any = true, ok;

	buf_init(&question, COMPARE_BODY_MAX);
	compare_put_definitions(&question);
	ok = buf_check(&question, "a question", e) && client_call(l->client, "POST", "/api/sync/verify", question.data, question.len, &status, answer, e);
	buf_free(&question);
	if (!ok)
		return false;
	if (status != 200)
		return link_refused(l, status, answer, e);
	compare_reader_init(&r, answer->data, answer->len);
	if (!compare_parse_answer(&r, &more, e))
		return false;
	while ((ok = compare_next(&r, &any, e)) && any)
		if (!take_definition(d, &r, e))
			return false;
	return ok;
}

/* --- creating --- */

static bool
create_one(struct defining *d, const struct missing *m, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, COMPARE_ANSWER_MAX * 2);
	buf_str(&sql, "CREATE TABLE ");
	db_quote_name(&sql, m->name);
	buf_fmt(&sql, " %s", m->definition);
	ok = buf_check(&sql, "a definition", e) && db_exec_text(d->db, sql.data, sql.len, e);
	buf_free(&sql);
	if (!ok && e->code == ERR_DB_ACCESS)
		return err_prefix(e, "creating tables needs GRANT CREATE, REFERENCES ON the app's database for the agent's account");
	return ok || err_prefix(e, "table %s", m->name);
}

/* Without checks a table may name a parent that comes later: circles too, and each table is whole or not there. */
static bool
create(struct defining *d, struct err *e)
{
	if (d->n > 0 && !db_exec(d->db, "SET foreign_key_checks=0", DB_NO_ARGS, e))
		return false;
	for (size_t i = 0; i < d->n; i++) {
		if (!create_one(d, &d->tables[i], e))
			return false;
		log_info(d->link->peer->name, "table %s is created from the peer's definition", d->tables[i].name);
	}
	return true;
}

/* Ask, and then create, or only say. */
static bool
define(struct defining *d, void (*visit)(const char *table, void *arg), void *arg, struct err *e)
{
	struct link *l = d->link;
	struct buf answer;
	bool ok;

	buf_init(&answer, COMPARE_ANSWER_MAX * 2);
	ok = db_open(&l->conf->database, &d->db, e) && db_use(d->db, l->conf->database.name, e) && ask(d, &answer, e) && (visit != NULL || create(d, e));
	for (size_t i = 0; i < d->n; i++) {
		if (ok && visit != NULL)
			visit(d->tables[i].name, arg);
		free(d->tables[i].name);
		free(d->tables[i].definition);
	}
	free(d->tables);
	db_close(d->db);
	buf_free(&answer);
	return ok;
}

bool
define_missing(struct link *l, uint64_t *created, struct err *e)
{
	struct defining d = { .link = l };
	bool ok = define(&d, NULL, NULL, e);

	*created = ok ? d.n : 0;
	return ok;
}

bool
define_look(struct link *l, void (*visit)(const char *table, void *arg), void *arg, struct err *e)
{
	struct defining d = { .link = l };

	return define(&d, visit, arg, e);
}

bool
define_list(struct link *l, void (*visit)(const char *table, void *arg), void *arg, struct err *e)
{
	struct defining d = { .link = l, .names = true };

	return define(&d, visit, arg, e);
}
