/* Trigger bodies. Lives here: the triggers' names and what they do. Not here: what foreign keys
 * change (capture/closure), keys as text (capture/template), which
 * columns an update changed (capture/mask), putting triggers in place (capture/trigger). */
#include "capture/body.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "capture/mask.h"

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

/* What a call needs to know. */
struct own {
	const struct table *table;
	const char *sync_database;
};

/* CALL `sync`.enqueue('t','insert',KEY,NULL,NULL,linked); with prefix NULL the table is marked dirty. */
static void
put_call(struct buf *sql, const struct own *o, const char *operation, const char *prefix, int linked)
{
	template_enqueue(sql, o->sync_database, o->table->name, operation);
	if (prefix == NULL)
		buf_str(sql, "NULL");
	else
		template_key(sql, o->table, prefix);
	buf_fmt(sql, ",NULL,NULL,%d);", linked);
}

/* told: with what the update changed; else because a column it would be told by is gone. */
static void
put_update(struct buf *sql, const struct own *o, bool told)
{
	template_enqueue(sql, o->sync_database, o->table->name, "update");
	template_key(sql, o->table, "NEW.");
	buf_char(sql, ',');
	if (told)
		mask_put_columns(sql, o->table);
	else
		buf_str(sql, "NULL");
	buf_char(sql, ',');
	if (told)
		mask_put_difference(sql, o->table);
	else
		buf_str(sql, o->table->ncounters > 0 ? "'" MASK_NO_DIFFERENCE "'" : "NULL");
	buf_str(sql, ",0);");
}

static void
put_same_key(struct buf *sql, const struct table *t)
{
	for (size_t i = 0; i < t->nkey; i++) {
		buf_str(sql, i > 0 ? " AND " : "");
		mask_put_same(sql, &t->columns[t->key[i]]);
	}
}

static void
put_update_event(struct buf *sql, const struct own *o, bool told)
{
	buf_str(sql, "IF ");
	put_same_key(sql, o->table);
	buf_str(sql, " THEN ");
	put_update(sql, o, told);
	buf_str(sql, " ELSE ");
	put_call(sql, o, "delete", "OLD.", 0);
	buf_char(sql, ' ');
	put_call(sql, o, "insert", "NEW.", 1);
	buf_str(sql, " END IF;");
}

/* What a row of the table itself leaves in the queue. Where a column is gone that is only compared, the app's
 * write goes on and all of the record counts as changed; where the key cannot be told, the table is dirty. */
static void
put_own(struct buf *sql, const struct table *t, enum capture_event event, const char *sync_database)
{
	const struct own o = { t, sync_database };
	bool update = event == CAPTURE_UPDATE;

	buf_str(sql, update ? "BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS " BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS " "
			    : "BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS " ");
	put_call(sql, &o, "dirty", NULL, 0);
	buf_char(sql, ' ');
	if (update) {
		put_update_event(sql, &o, false);
		buf_str(sql, " END; ");
		put_update_event(sql, &o, true);
	} else
		put_call(sql, &o, event == CAPTURE_INSERT ? "insert" : "delete", event == CAPTURE_INSERT ? "NEW." : "OLD.", 0);
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
