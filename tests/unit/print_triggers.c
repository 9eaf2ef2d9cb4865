/* Prints the trigger texts of tables that standard input describes, one statement a line, for
 * tests/sql. The words, one a line, each followed by its value up to the line's end:
 *
 *	database NAME / sync NAME / token HEX
 *	table NAME		begins a table
 *	key KIND NAME		the next column of its primary key
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/body.h"

struct input {
	char *database, *sync, *token;
	struct table table;
	struct column columns[CATALOG_KEY_COLUMNS];
};

static const struct {
	const char *word;
	enum column_kind kind;
	const char *charset; /* where it matters */
} kinds[] = {
	{ "plain", COLUMN_PLAIN, "" },
	{ "typed", COLUMN_TYPED, "" },
	{ "text", COLUMN_TEXT, "" },
	{ "ascii", COLUMN_TEXT, "ascii" },
	{ "chars", COLUMN_CHARS, "" },
	{ "bytes", COLUMN_BYTES, "" },
	{ "bit", COLUMN_BIT, "" },
	{ "float", COLUMN_FLOAT, "" },
	{ "timestamp", COLUMN_TIMESTAMP, "" },
	{ "choice", COLUMN_CHOICE, "" },
};

static void
stop(const char *what, const char *line)
{
	(void)fprintf(stderr, "print_triggers: %s: %s\n", what, line);
	exit(2);
}

static char *
copy(const char *text)
{
	char *p = strdup(text);

	if (p == NULL)
		stop("out of memory", text);
	return p;
}

static void
set(char **to, const char *text)
{
	free(*to);
	*to = copy(text);
}

/* The table that ends here, if there is one. */
static void
print_table(struct input *in)
{
	struct table *t = &in->table;

	if (t->name == NULL)
		return;
	if (in->database == NULL || in->sync == NULL || in->token == NULL || t->nkey == 0)
		stop("something is missing before the end of table", t->name);
	for (int event = 0; event < CAPTURE_EVENTS; event++) {
		struct buf sql;

		buf_init(&sql, TEMPLATE_SQL_MAX);
		body_trigger(&sql, in->database, t, (enum capture_event)event, in->sync, in->token);
		if (sql.failed)
			stop("too long", t->name);
		(void)puts(buf_cstr(&sql));
		buf_free(&sql);
	}
	for (size_t i = 0; i < t->ncolumns; i++) {
		free(in->columns[i].name);
		free(in->columns[i].charset);
	}
	free(t->name);
	memset(t, 0, sizeof *t);
}

static void
take_key(struct input *in, char *text)
{
	struct table *t = &in->table;
	char *name = strchr(text, ' ');

	if (name == NULL || t->name == NULL || t->nkey == CATALOG_KEY_COLUMNS)
		stop("malformed key", text);
	*name++ = '\0';
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(kinds[i].word, text) != 0)
			continue;
		in->columns[t->ncolumns] = (struct column){
			.name = copy(name), .charset = copy(kinds[i].charset), .kind = kinds[i].kind, .in_key = true };
		t->columns = in->columns;
		t->key[t->nkey++] = t->ncolumns++;
		return;
	}
	stop("unknown kind", text);
}

static void
take_line(struct input *in, char *line)
{
	char *value = strchr(line, ' ');

	if (value == NULL)
		stop("malformed line", line);
	*value++ = '\0';
	if (strcmp(line, "database") == 0)
		set(&in->database, value);
	else if (strcmp(line, "sync") == 0)
		set(&in->sync, value);
	else if (strcmp(line, "token") == 0)
		set(&in->token, value);
	else if (strcmp(line, "table") == 0) {
		print_table(in);
		in->table.name = copy(value);
	} else if (strcmp(line, "key") == 0)
		take_key(in, value);
	else
		stop("unknown word", line);
}

int
main(void)
{
	struct input in = { 0 };
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		take_line(&in, line);
	}
	print_table(&in);
	free(line);
	free(in.database);
	free(in.sync);
	free(in.token);
	return fflush(stdout) == 0 ? 0 : 1;
}
