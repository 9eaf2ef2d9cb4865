/* Trigger bodies. Lives here: the triggers' names and what they do. Not here: what foreign keys
 * change (capture/closure), keys as text (capture/template), putting triggers in place (capture/trigger). */
#include "capture/body.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *const event_name[CAPTURE_EVENTS] = {
	[CAPTURE_INSERT] = "AFTER INSERT",
	[CAPTURE_UPDATE] = "AFTER UPDATE",
	[CAPTURE_DELETE] = "AFTER DELETE",
	[CAPTURE_BEFORE_UPDATE] = "BEFORE UPDATE",
	[CAPTURE_BEFORE_DELETE] = "BEFORE DELETE",
};
static const char *const trigger_prefix[CAPTURE_EVENTS] = {
	[CAPTURE_INSERT] = "tandem_ai_",
	[CAPTURE_UPDATE] = "tandem_au_",
	[CAPTURE_DELETE] = "tandem_ad_",
	[CAPTURE_BEFORE_UPDATE] = "tandem_bu_",
	[CAPTURE_BEFORE_DELETE] = "tandem_bd_",
};

void
body_skip_variable(const char *token, char out[TEMPLATE_NAME_MAX])
{
	(void)snprintf(out, TEMPLATE_NAME_MAX, "tandem_skip_%s", token);
}

/* FNV-1a, 64 bits: only to make a name of bounded length out of a long one. */
static uint64_t
hash_name(const char *text)
{
	uint64_t h = 14695981039346656037u;

	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	return h;
}

void
body_trigger_name(const char *table, enum capture_event event, char out[TEMPLATE_NAME_MAX])
{
	const char *prefix = trigger_prefix[event];

	size_t n = strlen(prefix), len = strlen(table);

	if (n + len < TEMPLATE_NAME_MAX) {
		memcpy(out, prefix, n);
		memcpy(out + n, table, len + 1);
	} else
		(void)snprintf(out, TEMPLATE_NAME_MAX, "%s#%016llx", prefix, (unsigned long long)hash_name(table));
}

bool
body_is_our_trigger(const char *name)
{
	for (size_t i = 0; i < CAPTURE_EVENTS; i++)
		if (strncmp(name, trigger_prefix[i], strlen(trigger_prefix[i])) == 0)
			return true;
	return false;
}

/* CALL `sync`.enqueue('t','insert',KEY,NULL,NULL,linked); with prefix NULL the table is marked dirty. */
static void
put_call(struct buf *sql, const struct table *t, const char *sync_database, const char *operation, const char *prefix, int linked)
{
	template_enqueue(sql, sync_database, t->name, operation);
	if (prefix == NULL)
		buf_str(sql, "NULL");
	else
		template_key(sql, t, prefix);
	buf_fmt(sql, ",NULL,NULL,%d);", linked);
}

static void
put_column(struct buf *sql, const char *prefix, const struct column *col)
{
	buf_str(sql, prefix);
	db_quote_name(sql, col->name);
}

static void
put_same_key(struct buf *sql, const struct table *t)
{
	for (size_t i = 0; i < t->nkey; i++) {
		const struct column *col = &t->columns[t->key[i]];
		/* A collation calls 'a' and 'A' equal; the key has changed all the same. */
		const char *binary = col->kind == COLUMN_TEXT || col->kind == COLUMN_CHARS ||
			col->kind == COLUMN_BYTES || col->kind == COLUMN_TYPED ? "BINARY " : "";

		buf_str(sql, i > 0 ? " AND " : "");
		buf_str(sql, binary);
		put_column(sql, "OLD.", col);
		buf_str(sql, "<=>");
		buf_str(sql, binary);
		put_column(sql, "NEW.", col);
	}
}

/* What a row of the table itself leaves in the queue. */
static void
put_own(struct buf *sql, const struct table *t, enum capture_event event, const char *sync_database)
{
	buf_str(sql, "BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS " ");
	put_call(sql, t, sync_database, "dirty", NULL, 0);
	buf_char(sql, ' ');
	if (event == CAPTURE_INSERT)
		put_call(sql, t, sync_database, "insert", "NEW.", 0);
	else if (event == CAPTURE_DELETE)
		put_call(sql, t, sync_database, "delete", "OLD.", 0);
	else {
		buf_str(sql, "IF ");
		put_same_key(sql, t);
		buf_str(sql, " THEN ");
		put_call(sql, t, sync_database, "update", "NEW.", 0);
		buf_str(sql, " ELSE ");
		put_call(sql, t, sync_database, "delete", "OLD.", 0);
		buf_char(sql, ' ');
		put_call(sql, t, sync_database, "insert", "NEW.", 1);
		buf_str(sql, " END IF;");
	}
	buf_str(sql, " END; ");
}

static void
put_closure(struct buf *sql, const struct body_scope *s, const char *table, enum capture_event event)
{
	static const enum closure_part parts[CAPTURE_EVENTS] = {
		[CAPTURE_UPDATE] = CLOSURE_AFTER_UPDATE,
		[CAPTURE_BEFORE_UPDATE] = CLOSURE_BEFORE_UPDATE,
		[CAPTURE_BEFORE_DELETE] = CLOSURE_BEFORE_DELETE,
	};
	size_t before = sql->len, empty;

	if (event == CAPTURE_INSERT || event == CAPTURE_DELETE)
		return;
	/* Without checks the server does not cascade either. */
	buf_str(sql, "IF @@foreign_key_checks THEN ");
	empty = sql->len;
	closure_put(sql, s->catalog, table, parts[event], s->sync_database);
	if (sql->len == empty)
		buf_cut(sql, before);
	else
		buf_str(sql, " END IF; ");
}

bool
body_is_before(enum capture_event event)
{
	return event == CAPTURE_BEFORE_UPDATE || event == CAPTURE_BEFORE_DELETE;
}

void
body_trigger_text(struct buf *sql, const struct body_scope *s, const char *table, enum capture_event event, bool own)
{
	const struct table *t = catalog_table(s->catalog, table);
	char skip[TEMPLATE_NAME_MAX];
	size_t before = sql->len, empty;

	body_skip_variable(s->token, skip);
	buf_fmt(sql, "IF @%s IS NULL THEN ", skip);
	empty = sql->len;
	assert(!own || t != NULL);
	if (own && !body_is_before(event))
		put_own(sql, t, event, s->sync_database);
	put_closure(sql, s, table, event);
	if (sql->len == empty)
		buf_cut(sql, before);
	else
		buf_str(sql, "END IF");
}

void
body_trigger(struct buf *sql, const char *database, const char *table, enum capture_event event, const char *body)
{
	char name[TEMPLATE_NAME_MAX];

	body_trigger_name(table, event, name);
	buf_str(sql, "CREATE OR REPLACE TRIGGER ");
	template_table(sql, database, name);
	buf_fmt(sql, " %s ON ", event_name[event]);
	template_table(sql, database, table);
	buf_str(sql, " FOR EACH ROW ");
	buf_str(sql, body);
}
