/* Notices. Lives here: what was told already, running the command, the daemon's thread. Not here: what a cause is
 * (app/cause), how a command is run (base/command). */
#include "config.h"

#include "app/notice.h"

#include <mysql.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cause.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/count.h"
#include "base/log.h"

enum {
	INPUT_MAX = 4096,
	SETTING_MAX = CAUSE_TEXT_MAX + 64,
	STEP_MS = 50 /* of the thread's rests, so that stopping is quick */
};

struct notice {
	const struct conf *conf;
	struct db *db;
	pthread_t thread;
	atomic_bool stop;
	bool started, complained;
	char began[CLOCK_TEXT_MAX]; /* the database's time at the first look; "" for a drain: no failure is old */
	struct report_tables tables;
	struct cause *causes;
	size_t n;
};

/* --- what was told --- */

/* Causes that are over are forgotten; those that this look could not see stay. */
static bool
forget_ended(struct notice *n, bool counted, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(n->db, "SELECT cause, peer FROM sync_notice", DB_NO_ARGS, &rows, e);

	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		const char *word = db_rows_text(rows, 0), *peer = db_rows_text(rows, 1);
		bool lasts = false;

		for (size_t i = 0; i < n->n; i++)
			lasts = lasts || (strcmp(cause_word(n->causes[i].kind), word) == 0 && strcmp(n->causes[i].peer, peer) == 0);
		for (int k = 0; k < CAUSES && !counted; k++)
			lasts = lasts || (strcmp(cause_word((enum cause_kind)k), word) == 0 && !cause_is_quick((enum cause_kind)k, peer));
		if (!lasts)
			ok = db_exec(n->db, "DELETE FROM sync_notice WHERE cause=? AND peer=?", DB_ARGS(db_text(word), db_text(peer)), e);
	}
	db_rows_free(rows);
	return ok;
}

/* Is it on us to tell it now? Whoever updates the row is: a drain and the daemon may look at the same time. */
static bool
claim(struct notice *n, const struct cause *c, bool *ours, char since[CLOCK_TEXT_MAX], struct err *e)
{
	const struct db_arg key[] = { db_text(cause_word(c->kind)), db_text(c->peer) };
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_exec(n->db, "INSERT IGNORE INTO sync_notice (cause, peer) VALUES (?, ?)", key, 2, e) &&
	    db_exec(n->db, "UPDATE sync_notice SET tries=tries+1, tried_at=NOW(6) WHERE cause=? AND peer=? AND told_at IS NULL AND tries < ?"
			   " AND (tried_at IS NULL OR tried_at < NOW(6) - INTERVAL ? SECOND)",
		DB_ARGS(key[0], key[1], db_u64(NOTICE_TRIES_MAX), db_u64(NOTICE_RETRY_S)), e);
	*ours = ok && db_affected(n->db) == 1;
	if (!*ours)
		return ok;
	ok = db_query(n->db, "SELECT since FROM sync_notice WHERE cause=? AND peer=?", key, 2, &rows, e) && db_rows_next(rows, &more, e);
	(void)snprintf(since, CLOCK_TEXT_MAX, "%.19s", ok && more ? db_rows_text(rows, 0) : "");
	db_rows_free(rows);
	return ok;
}

/* --- telling --- */

static void
put_setting(char out[SETTING_MAX], const char *name, const char *value)
{
	(void)snprintf(out, SETTING_MAX, "%s=%s", name, value);
}

/* The command gets everything twice: as text to pass on, and by name to choose from. */
static bool
run(const struct notice *n, const struct cause *c, const char *since, struct err *e)
{
	enum { SETTINGS = 7 };
	char subject[CAUSE_TEXT_MAX], remedy[CAUSE_TEXT_MAX], whole[CAUSE_TEXT_MAX + CONF_NAME_MAX + 2];
	char settings[SETTINGS][SETTING_MAX], input[INPUT_MAX];
	const char *list[SETTINGS + 1] = { NULL };
	struct command command = { .text = n->conf->sync.notify, .settings = list, .input = input, .limit_ms = NOTICE_LIMIT_MS, .stop = &n->stop };
	int len;

	cause_subject(c, subject, sizeof subject);
	cause_remedy(c, remedy, sizeof remedy);
	(void)snprintf(whole, sizeof whole, "%s: %s", n->conf->node.name, subject);
	put_setting(settings[0], "TANDEM_NODE", n->conf->node.name);
	put_setting(settings[1], "TANDEM_CAUSE", cause_word(c->kind));
	put_setting(settings[2], "TANDEM_PEER", c->peer);
	put_setting(settings[3], "TANDEM_SUBJECT", whole);
	put_setting(settings[4], "TANDEM_TEXT", c->text);
	put_setting(settings[5], "TANDEM_REMEDY", remedy);
	put_setting(settings[6], "TANDEM_SINCE", since);
	for (size_t i = 0; i < SETTINGS; i++)
		list[i] = settings[i];
	len = snprintf(input, sizeof input, "%s\n\n  %s\n\nWhat to do: %s\nSince: %s UTC\nNode: %s\n", whole, c->text, remedy, since, n->conf->node.name);
	command.input_len = len < 0 ? 0 : (size_t)len < sizeof input ? (size_t)len : sizeof input - 1;
	return command_run(&command, e);
}

/* e: the database's. A command that fails is no error of the look. */
static bool
tell(struct notice *n, const struct cause *c, struct err *e)
{
	const struct db_arg word = db_text(cause_word(c->kind)), peer = db_text(c->peer);
	char since[CLOCK_TEXT_MAX];
	struct err why = { 0 };
	bool ours;

	if (!claim(n, c, &ours, since, e))
		return false;
	if (!ours)
		return true;
	if (run(n, c, since, &why)) {
		count_add(COUNT_NOTIFIED, "", "done");
		log_info(c->peer, "notify: told of cause %s: %s", cause_word(c->kind), c->text);
		return db_exec(n->db, "UPDATE sync_notice SET told_at=NOW(6), last_error=NULL WHERE cause=? AND peer=?", DB_ARGS(word, peer), e);
	}
	if (why.code == ERR_STOPPED) /* the next life tells it, at once */
		return db_exec(n->db, "UPDATE sync_notice SET tries=tries-1, tried_at=NULL WHERE cause=? AND peer=?", DB_ARGS(word, peer), e);
	count_add(COUNT_NOTIFIED, "", "failed");
	log_error(c->peer, "notify: the command for cause %s (%s) failed: %s", cause_word(c->kind), c->text, why.msg);
	return db_exec(n->db, "UPDATE sync_notice SET last_error=LEFT(?, 500) WHERE cause=? AND peer=?", DB_ARGS(db_text(why.msg), word, peer), e);
}

/* --- looking --- */

/* The node's peers as they are, and, when asked, whole tables. */
static bool
read_all(struct notice *n, bool counted, struct report *quick, struct report *whole, struct err *e)
{
	if (!report_read_quick(n->db, n->conf, &n->tables, quick, e))
		return false;
	if (!counted || report_read_counts(n->db, n->conf, whole, e)) {
		if (counted)
			n->tables = (struct report_tables){ whole->dirty_tables, whole->waiting_tables, whole->waiting_trees };
		return true;
	}
	report_free(quick);
	return false;
}

static bool
find_causes(struct notice *n, const struct report *quick, const struct report *whole, struct err *e)
{
	struct cause_look look = { .conf = n->conf, .since = n->began };
	uint64_t known = 0;

	if (!db_clock_us(n->db, &look.now_us, e) || !db_number(n->db, "SELECT COUNT(*) FROM sync_notice WHERE cause='disk'", DB_NO_ARGS, &known, NULL, e))
		return false;
	look.disk_known = known > 0;
	n->n = cause_find(quick, &look, n->causes);
	if (whole == NULL)
		return true;
	look.counted = true;
	n->n += cause_find(whole, &look, n->causes + n->n); /* it has no peers: what was counted alone */
	return true;
}

static bool
look(struct notice *n, bool counted, struct err *e)
{
	struct report quick, whole;
	bool ok;

	if (!read_all(n, counted, &quick, &whole, e))
		return false;
	ok = find_causes(n, &quick, counted ? &whole : NULL, e) && forget_ended(n, counted, e);
	for (size_t i = 0; ok && i < n->n; i++)
		ok = n->causes[i].old || tell(n, &n->causes[i], e);
	if (counted)
		report_free(&whole);
	report_free(&quick);
	return ok;
}

static bool
make(const struct conf *conf, struct notice **out, struct err *e)
{
	struct notice *n = calloc(1, sizeof *n);

	*out = n;
	if (n == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for notices");
	n->conf = conf;
	n->causes = calloc(CAUSES_MAX, sizeof *n->causes);
	atomic_init(&n->stop, false);
	return n->causes != NULL || err_set(e, ERR_MEMORY, "out of memory for notices");
}

void
notice_look(const struct conf *conf)
{
	struct notice *n = NULL;
	struct err e = { 0 };

	if (conf->sync.notify[0] == '\0')
		return;
	if (!make(conf, &n, &e) || !db_open(&conf->database, &n->db, &e) || !look(n, true, &e))
		log_warning(NULL, "whether a person is needed could not be looked at: %s", e.msg);
	notice_free(n);
}

/* --- the daemon's thread --- */

static bool
look_connected(struct notice *n, bool counted, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (n->db != NULL && db_is_lost(n->db)) {
		db_close(n->db);
		n->db = NULL;
	}
	if (n->db == NULL && !db_open(&n->conf->database, &n->db, e))
		return false;
	if (n->began[0] == '\0') {
		ok = db_query(n->db, "SELECT NOW(6)", DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
		(void)snprintf(n->began, sizeof n->began, "%s", ok && more ? db_rows_text(rows, 0) : "");
		db_rows_free(rows);
		if (!ok)
			return false;
	}
	return look(n, counted, e);
}

static void
rest(const struct notice *n, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (!atomic_load(&n->stop) && clock_mono_ms() < until)
		clock_nap_ms(STEP_MS);
}

static void *
notice_main(void *arg)
{
	struct notice *n = arg;
	int64_t count_at = 0;

	(void)mysql_thread_init();
	while (!atomic_load(&n->stop)) {
		int64_t since = clock_mono_ms(), took;
		bool counted = since >= count_at;
		struct err e = { 0 };
		bool ok = look_connected(n, counted, &e);

		/* A database that is away is said by everybody else; the rest once. */
		if (!ok && e.code != ERR_DB_LOST && !n->complained)
			log_warning(NULL, "whether a person is needed cannot be looked at: %s", e.msg);
		n->complained = !ok && (n->complained || e.code != ERR_DB_LOST);
		took = (clock_mono_ms() - since) * NOTICE_SHARE;
		if (counted)
			count_at = clock_mono_ms() + (took < NOTICE_COUNT_MS ? NOTICE_COUNT_MS : took);
		rest(n, counted || took < NOTICE_LOOK_MS ? NOTICE_LOOK_MS : took);
	}
	mysql_thread_end();
	return NULL;
}

bool
notice_new(const struct conf *conf, struct notice **out, struct err *e)
{
	*out = NULL;
	if (conf->sync.notify[0] == '\0')
		return true;
	if (!make(conf, out, e))
		return false;
	(*out)->started = pthread_create(&(*out)->thread, NULL, notice_main, *out) == 0;
	return (*out)->started || err_set(e, ERR_IO, "cannot start the thread of notices");
}

void
notice_free(struct notice *n)
{
	if (n == NULL)
		return;
	atomic_store(&n->stop, true);
	if (n->started)
		(void)pthread_join(n->thread, NULL);
	db_close(n->db);
	free(n->causes);
	free(n);
}
