/* Trigger bodies. Lives here: the triggers' names and what they do. Not here: keys as text
 * (capture/template), putting triggers in place (capture/trigger). */
#include "capture/body.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *const event_name[CAPTURE_EVENTS] = { "INSERT", "UPDATE", "DELETE" };
static const char *const trigger_prefix[CAPTURE_EVENTS] = { "tandem_ai_", "tandem_au_", "tandem_ad_" };


/* A string literal. One that would need an escape is written in hexadecimal: information_schema shows
 * literals unescaped, and bodies are compared with what it shows. */
static void
put_literal(struct buf *sql, const char *text)
{
	if (strpbrk(text, "'\\") != NULL) {
		buf_str(sql, "CONVERT(x'");
		buf_hex(sql, text, strlen(text));
		buf_str(sql, "' USING utf8mb4)");
		return;
	}
	buf_char(sql, '\'');
	buf_str(sql, text);
	buf_char(sql, '\'');
}

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
	buf_str(sql, "CALL ");
	db_quote_name(sql, sync_database);
	buf_str(sql, ".enqueue(");
	put_literal(sql, t->name);
	buf_fmt(sql, ",'%s',", operation);
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

void
body_trigger_text(struct buf *sql, const struct table *t, enum capture_event event, const char *sync_database, const char *token)
{
	char skip[TEMPLATE_NAME_MAX];

	body_skip_variable(token, skip);
	buf_fmt(sql, "IF @%s IS NULL THEN BEGIN DECLARE EXIT HANDLER FOR 1054 ", skip);
	put_call(sql, t, sync_database, "dirty", NULL, 0);
	buf_char(sql, ' ');
	switch (event) {
	case CAPTURE_INSERT:
		put_call(sql, t, sync_database, "insert", "NEW.", 0);
		break;
	case CAPTURE_UPDATE:
		buf_str(sql, "IF ");
		put_same_key(sql, t);
		buf_str(sql, " THEN ");
		put_call(sql, t, sync_database, "update", "NEW.", 0);
		buf_str(sql, " ELSE ");
		put_call(sql, t, sync_database, "delete", "OLD.", 0);
		buf_char(sql, ' ');
		put_call(sql, t, sync_database, "insert", "NEW.", 1);
		buf_str(sql, " END IF;");
		break;
	case CAPTURE_DELETE:
		put_call(sql, t, sync_database, "delete", "OLD.", 0);
		break;
	case CAPTURE_EVENTS:
		assert(false);
	}
	buf_str(sql, " END; END IF");
}

void
body_trigger(struct buf *sql, const char *database, const struct table *t, enum capture_event event, const char *sync_database, const char *token)
{
	char name[TEMPLATE_NAME_MAX];

	body_trigger_name(t->name, event, name);
	buf_str(sql, "CREATE OR REPLACE TRIGGER ");
	template_table(sql, database, name);
	buf_fmt(sql, " AFTER %s ON ", event_name[event]);
	template_table(sql, database, t->name);
	buf_str(sql, " FOR EACH ROW ");
	body_trigger_text(sql, t, event, sync_database, token);
}
