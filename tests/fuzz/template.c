/* Texts that become SQL, or come from a server that somebody else fills: keys taken apart, names
 * quoted, an app's trigger taken apart and guarded. */
#include "config.h"

#include <string.h>

#include "capture/template.h"
#include "capture/wrap.h"
#include "fuzz.h"

/* A key of 1 to 4 columns of any kinds, then the key's text. */
static void
key(const uint8_t *data, size_t len)
{
	struct column columns[4];
	struct table t = { .columns = columns };
	size_t parts[CATALOG_KEY_COLUMNS];
	struct buf out;

	if (len < 5)
		return;
	memset(columns, 0, sizeof columns);
	t.nkey = t.ncolumns = 1 + data[0] % 4;
	for (size_t i = 0; i < t.nkey; i++) {
		columns[i] = (struct column){ .name = (char[]){ "a`b" }, .type = (char[]){ "" }, .charset = (char[]){ "" },
			.kind = (enum column_kind)(data[1 + i] % (COLUMN_CHOICE + 1)), .in_key = true };
		t.key[i] = i;
	}
	buf_init(&out, TEMPLATE_SQL_MAX);
	if (template_split_key(&t, (const char *)data + 5, len - 5, &out, parts) && !out.failed)
		for (size_t i = 0; i < t.nkey; i++)
			MUST(parts[i] < out.len);
	buf_free(&out);
}

/* A name stays one identifier: between the outer backticks every backtick is doubled. */
static void
name(const uint8_t *data, size_t len)
{
	struct buf sql;
	char *text = strndup((const char *)data, len < 64 ? len : 64);
	const char *p;

	MUST(text != NULL);
	buf_init(&sql, TEMPLATE_SQL_MAX);
	template_table(&sql, "d", text);
	MUST(!sql.failed && strncmp(sql.data, "`d`.`", 5) == 0);
	for (p = sql.data + 5; *p != '\0'; p++)
		if (*p == '`' && *++p != '`')
			break;
	MUST(p == sql.data + sql.len);
	buf_free(&sql);
	free(text);
}

static void
trigger(const uint8_t *data, size_t len)
{
	struct wrap w, guarded;
	struct buf sql;
	char *text = strndup((const char *)data, len);
	size_t n;

	MUST(text != NULL);
	n = strlen(text);
	if (wrap_read(text, n, &w) == NULL) {
		MUST(w.exists <= w.exists_end && w.exists_end <= w.row_end && w.row_end <= w.body && w.body <= w.body_end && w.body_end <= n);
		buf_init(&sql, TEMPLATE_SQL_MAX);
		wrap_put(&sql, text, &w, "", false, "0123456789abcdef");
		MUST(!sql.failed && strncmp(sql.data, "CREATE OR REPLACE", 17) == 0);
		memmove(sql.data + 6, sql.data + 17, sql.len - 17); /* the server says CREATE alone */
		sql.len -= 11;
		MUST(wrap_read(sql.data, sql.len, &guarded) == NULL);
		MUST(guarded.body_end - guarded.body == w.body_end - w.body); /* the app's own text can be had back */
		MUST(memcmp(sql.data + guarded.body, text + w.body, w.body_end - w.body) == 0);
		buf_free(&sql);
	}
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	switch (data[0] % 3) {
	case 0: key(data + 1, len - 1); break;
	case 1: name(data + 1, len - 1); break;
	default: trigger(data + 1, len - 1); break;
	}
	return 0;
}
