/* Rings. Lives here: what nodes claim of their links, its text, the SQL of sync_link, the search. Not here: when it is
 * told (sync/link, sync/handle).
 *
 * Links must form a tree: in a ring a change comes by two ways, and the rules for conflicts do not converge. Each node
 * tells a peer all that it knows but from that peer. So the two ends of a new link know both parts that it joins. */
#include "change/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change/mark.h"

#define RING_BEGINS "the links form a ring"
#define NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* --- the search --- */

/* A link, named from the lesser of its two nodes. */
struct edge {
	size_t a, b;
	uint64_t since;
};

struct graph {
	const char *names[2 * RING_CLAIMS_MAX];
	size_t part[2 * RING_CLAIMS_MAX]; /* of a node: the part it belongs to, by one of its nodes */
	size_t from[2 * RING_CLAIMS_MAX]; /* on the way from self */
	size_t n;
	struct edge edges[RING_CLAIMS_MAX];
	size_t nedges;
	bool taken[RING_CLAIMS_MAX]; /* it is in the tree */
};

static size_t
node_of(struct graph *g, const char *name)
{
	for (size_t i = 0; i < g->n; i++)
		if (strcmp(g->names[i], name) == 0)
			return i;
	g->names[g->n] = name;
	g->part[g->n] = g->n;
	return g->n++;
}

/* Has the node said which links it has, and not this one? *since: the later of what both say. */
static bool
is_denied(const struct ring_claim *claims, size_t n, const char *claimant, const char *other, uint64_t *since)
{
	bool speaks = false, says = false;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(claims[i].claimant, claimant) != 0)
			continue;
		speaks = true;
		if (strcmp(claims[i].other, other) != 0)
			continue;
		says = true;
		*since = claims[i].since > *since ? claims[i].since : *since;
	}
	return speaks && !says;
}

static void
add_edge(struct graph *g, const struct ring_claim *claims, size_t n, const struct ring_claim *c)
{
	bool turned = strcmp(c->claimant, c->other) > 0;
	uint64_t since = c->since;
	struct edge e;

	if (is_denied(claims, n, c->other, c->claimant, &since) || is_denied(claims, n, c->claimant, c->other, &since))
		return;
	e = (struct edge){ node_of(g, turned ? c->other : c->claimant), node_of(g, turned ? c->claimant : c->other), since };
	for (size_t i = 0; i < g->nedges; i++)
		if (g->edges[i].a == e.a && g->edges[i].b == e.b)
			return;
	g->edges[g->nedges++] = e;
}

/* Is x to be taken before y? The older one; where they are as old, by their names, so that every node says the same. */
static bool
comes_before(const struct graph *g, const struct edge *x, const struct edge *y)
{
	int by_a = strcmp(g->names[x->a], g->names[y->a]);

	if (x->since != y->since)
		return x->since < y->since;
	return by_a < 0 || (by_a == 0 && strcmp(g->names[x->b], g->names[y->b]) < 0);
}

static size_t
part_of(const struct graph *g, size_t node)
{
	while (g->part[node] != node)
		node = g->part[node];
	return node;
}

/* The nodes from self to peer along the tree, as "anna - bert - cleo - anna". */
static void
put_path(struct graph *g, size_t self, size_t peer, char path[RING_TEXT_MAX])
{
	size_t used;
	bool grew = true;

	for (size_t i = 0; i < g->n; i++)
		g->from[i] = SIZE_MAX;
	g->from[peer] = peer;
	while (grew) {
		grew = false;
		for (size_t i = 0; i < g->nedges; i++) {
			const struct edge *e = &g->edges[i];

			if (!g->taken[i] || (g->from[e->a] == SIZE_MAX) == (g->from[e->b] == SIZE_MAX))
				continue;
			if (g->from[e->a] == SIZE_MAX)
				g->from[e->a] = e->b;
			else
				g->from[e->b] = e->a;
			grew = true;
		}
	}
	used = (size_t)snprintf(path, RING_TEXT_MAX, "%s", g->names[self]);
	for (size_t at = self; at != peer && used < RING_TEXT_MAX - 1;) {
		at = g->from[at];
		used += (size_t)snprintf(path + used, RING_TEXT_MAX - used, " - %s", g->names[at]);
	}
	if (used < RING_TEXT_MAX - 1)
		(void)snprintf(path + used, RING_TEXT_MAX - used, " - %s", g->names[self]);
}

void
ring_find(const struct ring_claim *claims, size_t n, const char *self, const char *peer, char path[RING_TEXT_MAX])
{
	struct graph *g = calloc(1, sizeof *g);
	bool done[RING_CLAIMS_MAX] = { false };
	size_t mine, theirs;

	path[0] = '\0';
	if (g == NULL)
		return; /* asked again with the next hello */
	mine = node_of(g, self);
	theirs = node_of(g, peer);
	for (size_t i = 0; i < n && i < RING_CLAIMS_MAX - 2; i++)
		add_edge(g, claims, n, &claims[i]);
	for (size_t taken = 0; taken < g->nedges; taken++) {
		size_t next = SIZE_MAX;

		for (size_t i = 0; i < g->nedges; i++)
			if (!done[i] && (next == SIZE_MAX || comes_before(g, &g->edges[i], &g->edges[next])))
				next = i;
		done[next] = true;
		if (part_of(g, g->edges[next].a) != part_of(g, g->edges[next].b)) {
			g->part[part_of(g, g->edges[next].a)] = part_of(g, g->edges[next].b);
			g->taken[next] = true;
		} else if ((g->edges[next].a == mine && g->edges[next].b == theirs) || (g->edges[next].b == mine && g->edges[next].a == theirs)) {
			put_path(g, mine, theirs, path);
			break;
		}
	}
	free(g);
}

/* --- the text --- */

/* The next claim of a text; *p is moved behind it. False: what stands there is none. */
static bool
take_claim(const char **p, struct ring_claim *c)
{
	size_t whole = strcspn(*p, ";"), a = strspn(*p, NAME), b;
	const char *text = *p;
	char number[24];

	*p += whole + ((*p)[whole] == ';');
	if (a == 0 || a > CONF_NAME_MAX || text[a] != '>')
		return false;
	b = strspn(text + a + 1, NAME);
	if (b == 0 || b > CONF_NAME_MAX || text[a + 1 + b] != '@' || whole - (a + b + 2) >= sizeof number)
		return false;
	(void)snprintf(c->claimant, sizeof c->claimant, "%.*s", (int)a, text);
	(void)snprintf(c->other, sizeof c->other, "%.*s", (int)b, text + a + 1);
	(void)snprintf(number, sizeof number, "%.*s", (int)(whole - (a + b + 2)), text + a + b + 2);
	return mark_parse_u64(number, &c->since);
}

static bool
put_claim(const struct ring_claim *c, char *out, size_t *used)
{
	int n = snprintf(out + *used, RING_LINKS_MAX - *used, "%s%s>%s@%llu", *used > 0 ? ";" : "", c->claimant, c->other, (unsigned long long)c->since);

	if (n < 0 || (size_t)n >= RING_LINKS_MAX - *used) {
		out[*used] = '\0';
		return false;
	}
	*used += (size_t)n;
	return true;
}

/* --- what is kept --- */

/* This node's own claims of peers that it has, and what these have told; own ones first. At most RING_CLAIMS_MAX. */
static bool
load(struct db *db, const struct conf *conf, struct ring_claim *claims, size_t *n, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*n = 0;
	if (!db_query(db, "SELECT told_by, claimant, other, since FROM sync_link ORDER BY told_by, claimant, other", DB_NO_ARGS, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more && *n < RING_CLAIMS_MAX) {
		struct ring_claim *c = &claims[*n];

		(void)snprintf(c->told_by, sizeof c->told_by, "%s", db_rows_text(rows, 0));
		(void)snprintf(c->claimant, sizeof c->claimant, "%s", db_rows_text(rows, 1));
		(void)snprintf(c->other, sizeof c->other, "%s", db_rows_text(rows, 2));
		c->since = db_rows_u64(rows, 3);
		*n += conf_peer(conf, c->told_by[0] == '\0' ? c->other : c->told_by) != NULL;
	}
	db_rows_free(rows);
	return ok;
}

bool
ring_put(struct db *db, const struct conf *conf, const char *peer, char out[RING_LINKS_MAX], struct err *e)
{
	struct ring_claim *claims = calloc(RING_CLAIMS_MAX, sizeof *claims);
	size_t n = 0, used = 0;
	bool ok;

	out[0] = '\0';
	if (claims == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the links");
	ok = db_exec(db, "INSERT IGNORE INTO sync_link (told_by, claimant, other, since) VALUES ('', ?, ?, FLOOR(UNIX_TIMESTAMP(NOW(6))*1000))",
		 DB_ARGS(db_text(conf->node.name), db_text(peer)), e) && load(db, conf, claims, &n, e);
	for (size_t i = 0; ok && i < n; i++)
		if (strcmp(claims[i].told_by, peer) != 0 && !put_claim(&claims[i], out, &used))
			break; /* the nearest come first; more than this no text holds */
	free(claims);
	return ok;
}

bool
ring_take(struct db *db, const char *self, const char *peer, const char *text, struct err *e)
{
	struct ring_claim c;
	bool ok;

	ok = db_begin(db, e) && db_exec(db, "DELETE FROM sync_link WHERE told_by=?", DB_ARGS(db_text(peer)), e);
	for (size_t n = 0; ok && *text != '\0' && n < RING_CLAIMS_MAX; n++)
		if (take_claim(&text, &c) && strcmp(c.claimant, self) != 0) /* nobody knows our links better than we */
			ok = db_exec(db, "INSERT IGNORE INTO sync_link (told_by, claimant, other, since) VALUES (?, ?, ?, ?)",
			    DB_ARGS(db_text(peer), db_text(c.claimant), db_text(c.other), db_u64(c.since)), e);
	ok = ok && db_commit(db, e);
	if (!ok)
		db_rollback(db);
	return ok;
}

bool
ring_release(struct db *db, const char *peer, struct err *e)
{
	return db_exec(db, "UPDATE sync_peer SET held=NULL WHERE peer=? AND held LIKE '%" RING_BEGINS "%'", DB_ARGS(db_text(peer)), e);
}

bool
ring_check(struct db *db, const struct conf *conf, const char *peer, char reason[RING_TEXT_MAX], struct err *e)
{
	struct ring_claim *claims = calloc(RING_CLAIMS_MAX, sizeof *claims);
	char path[RING_TEXT_MAX];
	size_t n = 0;
	bool ok;

	reason[0] = '\0';
	if (claims == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the links");
	ok = load(db, conf, claims, &n, e);
	if (ok)
		ring_find(claims, n, conf->node.name, peer, path);
	if (ok && path[0] != '\0')
		(void)snprintf(reason, RING_TEXT_MAX, RING_BEGINS " (%.200s), and that of %s and %s is the newest: it waits until one of them is removed (agent --unpair NAME on both sides)",
		    path, conf->node.name, peer);
	free(claims);
	return ok;
}
