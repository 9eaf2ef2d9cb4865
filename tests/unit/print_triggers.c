/* Prints the trigger texts of tables that standard input describes, one statement a line, for
 * tests/sql. The words, one a line, each followed by its value up to the line's end:
 *
 *	database NAME / sync NAME / token HEX
 *	table NAME		begins a table
 *	key KIND NAME		the next column of its primary key
 *	column KIND NAME	the next column outside the key
 *	stamped NAME		the same: a timestamp that the server sets by itself
 *	counts SCALE NAME	the same: one whose changes add up
 *	conflict merge		the table's rule
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/body.h"

enum {
	COLUMNS_MAX = 1024
};

struct input {
	char *database, *sync, *token;
	struct table table;
	struct column columns[COLUMNS_MAX];
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
		struct catalog c = { .tables = t, .ntables = 1 };
		struct body_scope scope = { &c, in->sync, in->token };
		struct buf sql, body;

		buf_init(&sql, TEMPLATE_SQL_MAX);
		buf_init(&body, TEMPLATE_SQL_MAX);
		body_trigger_text(&body, &scope, t->name, (enum capture_event)event, true);
		body_trigger(&sql, in->database, t->name, (enum capture_event)event, buf_cstr(&body));
		if (sql.failed || body.failed)
			stop("too long", t->name);
		if (body.len > 0)
			(void)puts(buf_cstr(&sql));
		buf_free(&body);
		buf_free(&sql);
	}
	for (size_t i = 0; i < t->ncolumns; i++) {
		free(in->columns[i].name);
		free(in->columns[i].charset);
		free(in->columns[i].type);
	}
	free(t->name);
	memset(t, 0, sizeof *t);
}

static enum column_kind
kind_of(const char *word, const char **charset)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(kinds[i].word, word) != 0)
			continue;
		*charset = kinds[i].charset;
		return kinds[i].kind;
	}
	stop("unknown kind", word);
	return COLUMN_PLAIN;
}

/* The next column, and its name cut off the text. */
static struct column *
take_column(struct input *in, char *text)
{
	struct table *t = &in->table;
	char *name = strchr(text, ' ');

	if (name == NULL || t->name == NULL || t->ncolumns == COLUMNS_MAX)
		stop("malformed column", text);
	*name++ = '\0';
	t->columns = in->columns;
	in->columns[t->ncolumns] = (struct column){ .name = copy(name), .charset = copy(""), .type = copy("") };
	return &in->columns[t->ncolumns++];
}

static void
take_plain(struct input *in, char *text, bool in_key)
{
	struct column *col = take_column(in, text);
	const char *charset;

	col->kind = kind_of(text, &charset);
	set(&col->charset, charset);
	col->in_key = in_key;
	if (in_key && in->table.nkey == CATALOG_KEY_COLUMNS)
		stop("too many columns in the key", col->name);
	if (in_key)
		in->table.key[in->table.nkey++] = in->table.ncolumns - 1;
}

static void
take_counter(struct input *in, char *text)
{
	struct column *col = take_column(in, text);

	col->counts = true;
	col->scale = (unsigned)strtoul(text, NULL, 10);
	in->table.ncounters++;
}

static void
take_stamped(struct input *in, char *name)
{
	char text[300];
	struct column *col;

	(void)snprintf(text, sizeof text, "timestamp %s", name);
	col = take_column(in, text);
	col->kind = COLUMN_TIMESTAMP;
	col->stamped = in->table.stamped = true;
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
		take_plain(in, value, true);
	else if (strcmp(line, "column") == 0)
		take_plain(in, value, false);
	else if (strcmp(line, "stamped") == 0)
		take_stamped(in, value);
	else if (strcmp(line, "counts") == 0)
		take_counter(in, value);
	else if (strcmp(line, "conflict") == 0 && strcmp(value, "merge") == 0)
		in->table.policy = POLICY_MERGE;
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
