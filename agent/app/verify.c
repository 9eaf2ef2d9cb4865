/* --verify. Lives here: which tables and peers, what is printed, the exit code. Not here: comparing
 * (sync/compare). */
#include "app/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/progress.h"
#include "app/visitor.h"
#include "apply/rekey.h"
#include "base/log.h"
#include "base/measure.h"
#include "base/screen.h"
#include "base/text.h"
#include "change/moved.h"
#include "sync/compare.h"
#include "sync/define.h"
#include "sync/unlike.h"
#include "wire/line.h"

enum {
	SHOWN_TEXT = 20,	   /* keys of each kind, for people */
	SHOWN_JSON = 10 * 1000,	   /* the same in JSON */
	KEYS_TEXT_MAX = 64 * 1024 * 1024,
	NAME_SHOWN = 65 * 4 + 2, /* a table's name and a colon */
	KEY_SHOWN = 200,	   /* bytes of one key on a terminal */
	COLUMNS_TEXT = 10,	   /* records whose differing columns are named, for people */
	COLUMNS_JSON = 200,	   /* the same in JSON */
	TEXT_MAX = 128 * 1024 * 1024
};

static const char *const kind_json[COMPARE_KINDS] = { "missing_there", "missing_here", "different", "busy", "pending" };
static const char *const kind_text[COMPARE_KINDS] = { "missing there", "missing here", "different", "changed there, not here yet", "changed here, not there yet" };

struct verify {
	const struct cli *cli;
	const struct conf *conf;
	const struct conf_peer *peer;
	struct db *db;
	struct node_identity node;
	struct catalog *catalog;
	struct link link;
	enum compare_act act;
	/* Of the table being compared. */
	const char *table;
	uint64_t about;	     /* rows it seems to have */
	struct progress progress;
	size_t widest; /* table name, on a terminal */
	struct buf keys[COMPARE_KINDS];
	size_t nkeys[COMPARE_KINDS];
	struct digest_list unlike; /* records whose differing columns are asked for */
	struct buf columns;	   /* what these are */
	size_t absent;		   /* tables of the peer that are missing here */
	bool first; /* nothing printed yet in this list */
};

/* --- progress --- */

static void
show_progress(uint64_t records, void *arg)
{
	struct verify *v = arg;

	progress_show(&v->progress, records, v->about, "records");
}

/* --- keys --- */

static void
put_key(const struct verify *v, struct buf *to, const char *key, size_t key_len)
{
	char shown[KEY_SHOWN];

	if (v->cli->json && line_is_utf8(key, key_len)) {
		line_quote(to, key, key_len);
		return;
	}
	(void)text_escape(key, key_len, shown, sizeof shown);
	if (v->cli->json)
		line_quote(to, shown, strlen(shown));
	else
		buf_str(to, shown);
}

static void
note_key(enum compare_kind kind, const char *key, size_t key_len, void *arg)
{
	static const unsigned char none[DIGEST_BYTES];
	struct verify *v = arg;
	struct buf *to = &v->keys[kind];
	struct err ignored; /* a list that is full ends there */

	if (kind == COMPARE_DIFFERENT && v->unlike.n < (v->cli->json ? (size_t)COLUMNS_JSON : (size_t)COLUMNS_TEXT))
		(void)!digest_list_add(&v->unlike, key, key_len, none, &ignored);
	if (v->nkeys[kind] >= (v->cli->json ? (size_t)SHOWN_JSON : (size_t)SHOWN_TEXT))
		return;
	buf_str(to, v->nkeys[kind]++ > 0 ? v->cli->json ? "," : ", " : "");
	put_key(v, to, key, key_len);
}

/* One record's differing columns: a line, or a member of an object. */
static void
note_columns(const char *key, size_t key_len, const char *const *columns, size_t n, void *arg)
{
	struct verify *v = arg;
	struct buf *to = &v->columns;

	buf_str(to, v->cli->json ? to->len > 0 ? "," : "" : "    ");
	put_key(v, to, key, key_len);
	buf_str(to, v->cli->json ? ":[" : ": ");
	for (size_t i = 0; i < n; i++) {
		buf_str(to, i == 0 ? "" : v->cli->json ? "," : ", ");
		put_key(v, to, columns[i], strlen(columns[i]));
	}
	buf_str(to, v->cli->json ? "]" : "\n");
}

static void
forget_keys(struct verify *v)
{
	digest_list_reset(&v->unlike);
	buf_reset(&v->columns);
	for (size_t i = 0; i < COMPARE_KINDS; i++) {
		buf_reset(&v->keys[i]);
		v->nkeys[i] = 0;
	}
}

/* --- printing --- */

static void
count_of(const struct compare_result *r, uint64_t count[COMPARE_KINDS])
{
	count[COMPARE_ONLY_HERE] = r->only_here;
	count[COMPARE_ONLY_THERE] = r->only_there;
	count[COMPARE_DIFFERENT] = r->different;
	count[COMPARE_BUSY] = r->busy;
	count[COMPARE_PENDING] = r->pending;
}

static void
print_json(const struct verify *v, const struct compare_result *r, const struct err *e)
{
	uint64_t count[COMPARE_KINDS];

	count_of(r, count);
	(void)fputs(v->first ? "{\"table\":" : ",{\"table\":", stdout);
	cli_put_quoted(v->table);
	(void)printf(",\"records\":%llu", (unsigned long long)r->records);
	for (size_t i = 0; i < COMPARE_KINDS; i++)
		(void)printf(",\"%s\":%llu", kind_json[i], (unsigned long long)count[i]);
	(void)printf(",\"queued\":%llu,\"keys\":{", (unsigned long long)r->queued);
	for (size_t i = 0; i < COMPARE_KINDS; i++)
		(void)printf("%s\"%s\":[%s]", i > 0 ? "," : "", kind_json[i], buf_cstr(&v->keys[i]));
	(void)printf("},\"columns\":{%s", buf_cstr(&v->columns));
	(void)fputs("},\"error\":", stdout);
	if (e->msg[0] == '\0')
		(void)fputs("null", stdout);
	else
		cli_put_quoted(e->msg);
	(void)fputs("}", stdout);
}

static bool
is_equal(const struct compare_result *r)
{
	return r->only_here + r->only_there + r->different == 0;
}

/* With separators on a terminal; as digits alone where a program may read it. */
static const char *
put_count(const struct screen *s, uint64_t n, char out[MEASURE_MAX])
{
	if (s->width > 0)
		return measure_count(n, out);
	(void)snprintf(out, MEASURE_MAX, "%llu", (unsigned long long)n);
	return out;
}

static void
put_kinds(const struct verify *v, const uint64_t count[COMPARE_KINDS], struct screen *s)
{
	const struct screen_item item = { .indent = 2, .column = 4 }, bad = { .indent = 2, .column = 4, .ink = INK_BAD }, columns = { .indent = 4, .column = 6 };
	char n[MEASURE_MAX], more[MEASURE_MAX];

	for (size_t i = 0; i < COMPARE_KINDS; i++) {
		bool open = i == COMPARE_BUSY || i == COMPARE_PENDING;

		if (count[i] == 0)
			continue;
		screen_item_fmt(s, open ? &item : &bad, count[i] > v->nkeys[i] ? "%s: %s (%s, and %s more)" : "%s: %s (%s)", kind_text[i], put_count(s, count[i], n),
		    buf_cstr(&v->keys[i]), put_count(s, count[i] - v->nkeys[i], more));
		for (const char *line = buf_cstr(&v->columns); i == COMPARE_DIFFERENT && *line != '\0'; line += strcspn(line, "\n") + 1)
			screen_item_fmt(s, &columns, "%.*s", (int)strcspn(line, "\n"), line);
	}
}

static void
put_queued(const struct verify *v, const struct compare_result *r, struct screen *s)
{
	const struct screen_item item = { .indent = 2, .column = 4 };
	char n[MEASURE_MAX];

	put_count(s, r->queued, n);
	if (v->act == COMPARE_MINE)
		screen_item_fmt(s, &item, "%s records queued; they are sent with the next drain", n);
	else if (v->act == COMPARE_THEIRS)
		screen_item_fmt(s, &item, "%s records queued by %s; they arrive with its next drain", n, v->peer->name);
	else
		screen_item_fmt(s, &item, "%s records queued here or by %s; they are sent with the next drain of each side", n, v->peer->name);
}

static bool
print_text(const struct verify *v, const struct compare_result *r, struct err *e)
{
	uint64_t count[COMPARE_KINDS];
	bool equal = is_equal(r), done = equal && r->busy + r->pending == 0, ok;
	char lead[NAME_SHOWN], n[MEASURE_MAX];
	struct screen_item item = { .lead = lead, .lead_ink = INK_STRONG, .ink = done ? INK_GOOD : equal ? INK_PLAIN : INK_BAD };
	struct screen s;

	screen_init(&s, v->cli->colour, TEXT_MAX);
	(void)snprintf(lead, sizeof lead, "%s:", v->table);
	item.column = s.width > 0 ? v->widest + 2 : 0;
	screen_item_fmt(&s, &item, "%s records%s", put_count(&s, r->records, n), done ? ", equal" : "");
	count_of(r, count);
	put_kinds(v, count, &s);
	if (r->queued > 0)
		put_queued(v, r, &s);
	ok = screen_print(&s, e);
	screen_free(&s);
	return ok;
}

/* --- one table --- */

static bool
guess_rows(struct verify *v, struct err *e)
{
	return db_number(v->db, "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA=? AND TABLE_NAME=?",
	    DB_ARGS(db_text(v->catalog->database), db_text(v->table)), &v->about, NULL, e);
}

static enum exit_code
verify_table(struct verify *v, struct err *e)
{
	struct compare_watch watch = { .record = note_key, .progress = show_progress, .spare_counters = true, .arg = v };
	struct compare_result r = { 0 };
	uint64_t last = 0;
	struct err other = { 0 };
	bool ok;

	v->about = 0;
	progress_begin(&v->progress, v->table);
	forget_keys(v);
	ok = guess_rows(v, e) && db_number(v->db, "SELECT MAX(id) FROM sync_queue", DB_NO_ARGS, &last, NULL, e) && link_open(&v->link, e) && compare_table_watched(&v->link, v->catalog, v->table, v->act, &watch, &r, e);
	progress_clear(&v->progress);
	if (ok && !unlike_find(&v->link, v->catalog, catalog_table(v->catalog, v->table), &v->unlike, note_columns, v, &other))
		log_info(v->peer->name, "which columns of table %s differ cannot be told: %s", v->table, other.msg);
	/* A table that waited for a person: the choice is made, or there is nothing to choose. */
	if (ok && (v->act != COMPARE_LOOK || is_equal(&r)))
		ok = moved_release(v->db, v->peer->name, v->table, e) && moved_clean(v->db, v->table, last, e) && rekey_forget(v->db, v->table, e) &&
		    compare_say_settled(&v->link, v->catalog, v->table, e);
	if (v->cli->json)
		print_json(v, &r, e);
	else if (ok && (!v->cli->quiet || (!is_equal(&r) && v->act == COMPARE_LOOK)))
		ok = print_text(v, &r, e);
	v->first = false;
	if (!ok)
		return e->code == ERR_PEER_REFUSED ? EXIT_PERSON : cli_exit_code(e);
	return v->act == COMPARE_LOOK && !is_equal(&r) ? EXIT_PERSON : EXIT_DONE;
}

/* --- all of them --- */

static enum exit_code
worse(enum exit_code a, enum exit_code b)
{
	static const int rank[] = { [EXIT_DONE] = 0, [EXIT_PEER] = 1, [EXIT_PERSON] = 2, [EXIT_FAILED] = 3, [EXIT_USAGE] = 4, [EXIT_DATABASE] = 5 };

	return rank[a] >= rank[b] ? a : b;
}

/* A table that cannot be compared does not stop the others; a peer that is away does. */
static enum exit_code
verify_tables(struct verify *v, struct err *e)
{
	enum exit_code code = EXIT_DONE;

	for (size_t i = 0; i < v->catalog->ntables; i++) {
		const struct table *t = &v->catalog->tables[i];
		struct err one = { 0 };

		if (v->cli->table != NULL ? strcmp(v->cli->table, t->name) != 0 : t->problem != NULL)
			continue;
		v->table = t->name;
		code = worse(code, verify_table(v, &one));
		if (one.code == ERR_NONE)
			continue;
		if (e->code != ERR_NONE)
			cli_complain(e->msg);
		*e = one;
		if (one.code != ERR_PEER_REFUSED && one.code != ERR_USAGE)
			break;
	}
	return code;
}

static bool
enter(struct verify *v, struct err *e)
{
	if (!db_open(&v->conf->database, &v->db, e) || !schema_enter(v->db, v->conf, &v->node, e) || !catalog_read(v->db, v->conf, &v->catalog, e))
		return false;
	for (size_t i = 0; i < v->catalog->ntables; i++) {
		size_t width = text_width(v->catalog->tables[i].name, strlen(v->catalog->tables[i].name));

		v->widest = v->catalog->tables[i].problem == NULL && width > v->widest ? width : v->widest;
	}
	if (v->cli->table != NULL && catalog_table(v->catalog, v->cli->table) == NULL)
		return err_set(e, ERR_USAGE, "table %s does not exist or is not replicated", v->cli->table);
	return true;
}

/* A table that agent.conf names and only the peer has: no record of it can be compared, and it is not equal. */
static void
note_absent(const char *table, void *arg)
{
	static const struct compare_result none;
	struct verify *v = arg;
	struct err missing;

	v->absent++;
	v->table = table;
	forget_keys(v);
	(void)err_set(&missing, ERR_PEER_REFUSED, "table %s is missing here and peer %s has it: agent --startup --create-tables makes and fills it", table, v->peer->name);
	if (v->cli->json)
		print_json(v, &none, &missing);
	else
		cli_complain(missing.msg);
	v->first = false;
}

/* An older peer does not tell. */
static enum exit_code
look_for_absent(struct verify *v, struct err *e)
{
	struct err other = { 0 };

	v->absent = 0;
	if (v->cli->table != NULL)
		return EXIT_DONE;
	if (define_list(&v->link, note_absent, v, &other))
		return v->absent > 0 ? EXIT_PERSON : EXIT_DONE;
	if (other.code == ERR_PEER_REFUSED) {
		log_info(v->peer->name, "which tables are missing here cannot be told: %s", other.msg);
		return EXIT_DONE;
	}
	*e = other;
	return cli_exit_code(e);
}

static enum exit_code
verify_all(struct verify *v, struct err *e)
{
	enum exit_code code;

	if (!visitor_wait(v->cli, v->conf, v->peer, NULL, &v->link.guest, e) || !peer_register(v->db, v->peer->name, e) || !link_open(&v->link, e))
		return cli_exit_code(e);
	code = verify_tables(v, e);
	return e->code == ERR_NONE || e->code == ERR_PEER_REFUSED ? worse(code, look_for_absent(v, e)) : code;
}

/* What ends an object of a peer. */
static void
end_json(const struct err *e, enum exit_code code)
{
	(void)fputs("],\"error\":", stdout);
	if (e->msg[0] == '\0')
		(void)fputs("null", stdout);
	else
		cli_put_quoted(e->msg);
	(void)printf(",\"exit_code\":%d}", (int)code);
}

/* The tables on both sides must not be compared with a peer that is somebody else: opening the link asks. */
static enum exit_code
verify_peer(struct verify *v, struct err *e)
{
	enum exit_code code;

	v->link = (struct link){ .conf = v->conf, .peer = v->peer, .node = &v->node, .db = v->db };
	if (v->cli->json)
		(void)printf("{\"name\":\"%s\",\"tables\":[", v->peer->name);
	else if (!v->cli->quiet)
		(void)printf("with peer %s:\n", v->peer->name);
	v->first = true;
	code = verify_all(v, e);
	client_free(v->link.client);
	guest_free(v->link.guest);
	v->link.client = NULL;
	v->link.guest = NULL;
	if (v->cli->json)
		end_json(e, code);
	return code;
}

/* Nobody asked for this one by name: that nothing is said of it does not mean that it is equal. */
static void
pass_over(const struct verify *v)
{
	struct err paused;

	(void)err_set(&paused, ERR_PEER, "peer %s is paused ([peer %s] paused) and not compared: --peer %s compares it all the same", v->peer->name, v->peer->name, v->peer->name);
	if (v->cli->json) {
		(void)printf("{\"name\":\"%s\",\"tables\":[", v->peer->name);
		end_json(&paused, EXIT_DONE);
	} else
		cli_say(v->cli, INK_PLAIN, "%s", paused.msg);
}

static enum exit_code
verify_peers(struct verify *v, struct err *e)
{
	enum exit_code code = EXIT_DONE;
	bool first = true;

	if (v->cli->json)
		(void)fputs("{\"peers\":[", stdout);
	for (size_t i = 0; i < v->conf->npeers; i++) {
		struct err one = { 0 };

		v->peer = &v->conf->peers[i];
		if (v->cli->peer != NULL && strcmp(v->cli->peer, v->peer->name) != 0)
			continue;
		if (v->cli->json && !first)
			(void)fputs(",", stdout);
		first = false;
		if (v->cli->peer == NULL && v->peer->paused) {
			pass_over(v);
			continue;
		}
		code = worse(code, verify_peer(v, &one));
		if (one.code == ERR_NONE)
			continue;
		if (e->code != ERR_NONE)
			cli_complain(e->msg);
		*e = one;
	}
	if (v->cli->json)
		(void)puts("]}");
	return code;
}

/* --- what is asked for --- */

static bool
choose_act(struct verify *v, struct err *e)
{
	const struct cli *cli = v->cli;

	if (cli->from != NULL && !cli->repair)
		return err_set(e, ERR_USAGE, "--from says whose records win and needs --repair");
	v->act = cli->repair && !cli->dry_run ? COMPARE_MERGE : COMPARE_LOOK;
	if (cli->from == NULL)
		return true;
	if (strcmp(cli->from, v->conf->node.name) == 0)
		v->act = cli->dry_run ? COMPARE_LOOK : COMPARE_MINE;
	else if (conf_peer(v->conf, cli->from) == NULL)
		return err_set(e, ERR_USAGE, "--from %s: neither this node (%s) nor a [peer] of %s", cli->from, v->conf->node.name, v->conf->path);
	else if (cli->peer != NULL && strcmp(cli->from, cli->peer) != 0)
		return err_set(e, ERR_USAGE, "--from %s and --peer %s: the records can come from this node or from the peer compared with", cli->from, cli->peer);
	else
		v->act = cli->dry_run ? COMPARE_LOOK : COMPARE_THEIRS;
	return true;
}

static bool
choose_peer(const struct cli *cli, const struct conf *conf, struct err *e)
{
	if (conf->npeers == 0)
		return err_set(e, ERR_CONFIG, "there is no peer: add a [peer NAME] section to %s", conf->path);
	return cli->peer == NULL || conf_peer(conf, cli->peer) != NULL || err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->peer, conf->path);
}

enum exit_code
verify_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct cli chosen = *cli;
	struct verify v = { .cli = &chosen, .conf = conf };
	enum exit_code code;

	progress_init(&v.progress, cli->quiet);
	for (size_t i = 0; i < COMPARE_KINDS; i++)
		buf_init(&v.keys[i], KEYS_TEXT_MAX);
	buf_init(&v.columns, KEYS_TEXT_MAX);
	digest_list_init(&v.unlike, KEYS_TEXT_MAX);
	if (!choose_peer(cli, conf, e) || !choose_act(&v, e) || !enter(&v, e))
		code = cli_exit_code(e);
	else {
		if (v.act == COMPARE_THEIRS)
			chosen.peer = cli->from; /* the others have nothing to say here */
		code = verify_peers(&v, e);
	}
	for (size_t i = 0; i < COMPARE_KINDS; i++)
		buf_free(&v.keys[i]);
	buf_free(&v.columns);
	digest_list_free(&v.unlike);
	catalog_free(v.catalog);
	db_close(v.db);
	return code;
}
