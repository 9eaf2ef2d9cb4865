/* Directions of tables on both sides of a link. Lives here: the text that tells them, what does not fit together. Not
 * here: what a direction does to a group (sync/group, apply/pass), who prints it (app/). */
#include "change/oneway.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* --- telling --- */

static const char *
word_of(const struct conf *conf, enum conf_direction d)
{
	if (d == DIRECTION_SEND)
		return "send";
	return conf->npeers > 1 ? "relay" : "receive";
}

void
oneway_put(const struct conf *conf, char out[ONEWAY_MAX])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < conf->ntables; i++) {
		const char *name = conf->tables[i].name;
		enum conf_direction d = conf_direction(conf, name);
		int len;

		if (d == DIRECTION_BOTH)
			continue;
		len = snprintf(out + used, ONEWAY_MAX - used, "%s %s\n", word_of(conf, d), name);
		if (len < 0 || (size_t)len >= ONEWAY_MAX - used) {
			out[used] = '\0';
			return;
		}
		used += (size_t)len;
	}
}

/* --- judging --- */

/* The next line of the text taken apart; false at its end. What is malformed is passed over. */
static bool
next_line(const char **text, const char **word, size_t *word_len, const char **table, size_t *table_len)
{
	while (**text != '\0') {
		const char *line = *text, *end = line + strcspn(line, "\n"), *blank = memchr(line, ' ', (size_t)(end - line));

		*text = *end == '\0' ? end : end + 1;
		if (blank == NULL || blank == line || blank + 1 == end)
			continue;
		*word = line;
		*word_len = (size_t)(blank - line);
		*table = blank + 1;
		*table_len = (size_t)(end - blank - 1);
		return true;
	}
	return false;
}

static bool
says(const char *told, const char *word, const char *table)
{
	const char *w, *t;
	size_t w_len, t_len;

	while (next_line(&told, &w, &w_len, &t, &t_len))
		if (w_len == strlen(word) && memcmp(w, word, w_len) == 0 && t_len == strlen(table) && memcmp(t, table, t_len) == 0)
			return true;
	return false;
}

/* One table, which here has a direction. */
static bool
judge_table(const struct conf *conf, const char *peer, const char *told, const char *table, oneway_advice *say, void *arg)
{
	enum conf_direction here = conf_direction(conf, table);
	char finding[ONEWAY_TEXT_MAX], remedy[ONEWAY_TEXT_MAX];
	bool send = here == DIRECTION_SEND && says(told, "send", table);

	if (!send && !(here == DIRECTION_RECEIVE && conf->npeers < 2 && says(told, "receive", table)))
		return true;
	(void)snprintf(finding, sizeof finding, "table %.100s has direction = %s on both nodes, %s and %s: %s", table, send ? "send" : "receive", conf->node.name, peer,
	    send ? "neither takes what the other writes" : "nobody sends it");
	(void)snprintf(remedy, sizeof remedy, "write direction = %s into [table %.100s] of one of the two (or take the line out on both), then agent --reload there",
	    send ? "receive" : "send", table);
	say(table, finding, remedy, arg);
	return false;
}

bool
oneway_judge(const struct conf *conf, const char *peer, const char *told, oneway_advice *say, void *arg)
{
	bool fine = true;

	for (size_t i = 0; i < conf->ntables; i++)
		fine = judge_table(conf, peer, told, conf->tables[i].name, say, arg) && fine;
	return fine;
}

/* --- remembering --- */

bool
oneway_known(struct db *db, const char *peer, char out[ONEWAY_MAX], struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	out[0] = '\0';
	ok = db_query(db, "SELECT told FROM sync_direction WHERE peer=?", DB_ARGS(db_text(peer)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		(void)snprintf(out, ONEWAY_MAX, "%s", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}

bool
oneway_note(struct db *db, const char *peer, const char *told, bool *news, struct err *e)
{
	char known[ONEWAY_MAX];

	if (!oneway_known(db, peer, known, e))
		return false;
	*news = strcmp(known, told) != 0;
	return !*news ||
	    db_exec(db, "INSERT INTO sync_direction (peer, told) VALUES (?, ?) ON DUPLICATE KEY UPDATE told=VALUES(told)", DB_ARGS(db_text(peer), db_text(told)), e);
}

static void
log_advice(const char *table, const char *finding, const char *remedy, void *arg)
{
	(void)table;
	log_warning(arg, "%s; %s", finding, remedy);
}

bool
oneway_take(struct db *db, const struct conf *conf, const char *peer, const char *told, struct err *e)
{
	char name[CONF_NAME_MAX + 1];
	bool news = false;

	if (!oneway_note(db, peer, told, &news, e))
		return false;
	(void)snprintf(name, sizeof name, "%s", peer);
	if (news)
		(void)oneway_judge(conf, peer, told, log_advice, name);
	return true;
}
