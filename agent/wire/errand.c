/* The lines of fetching. Lives here: their form, strictly read. Not here: where errands lie (net/shelf), who runs
 * them (sync/fetch). */
#include "wire/errand.h"

#include <stdio.h>
#include <string.h>

#include "change/mark.h"
#include "wire/line.h"

enum {
	VALUES_MAX = 6,
	VERSION_AT = 1
};

static const char version[] = "1";

static void
put_text(struct buf *out, const char *text)
{
	if (text == NULL)
		line_null(out);
	else
		line_text(out, text, strlen(text));
}

static void
put_number(struct buf *out, uint64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	put_text(out, text);
}

void
errand_put(struct buf *out, const struct errand *x)
{
	static const char *const kinds[] = { [ERRAND_CALL] = "errand", [ERRAND_NOTHING] = "nothing", [ERRAND_LATER] = "later" };

	line_begin(out);
	put_text(out, kinds[x->kind]);
	put_text(out, version);
	if (x->kind == ERRAND_CALL) {
		put_number(out, x->number);
		put_text(out, x->path);
	}
	line_end(out);
}

void
errand_put_reply(struct buf *out, const struct errand_reply *r)
{
	line_begin(out);
	put_text(out, r->kind == ERRAND_OPEN ? "fetch" : "answer");
	put_text(out, version);
	if (r->kind == ERRAND_OPEN) {
		put_number(out, r->wait_ms);
		put_text(out, r->once ? "once" : NULL);
	} else {
		put_number(out, r->number);
		put_number(out, r->status);
		put_number(out, r->piece);
		put_text(out, r->last ? "last" : NULL);
	}
	line_end(out);
}

/* --- reading --- */

struct words {
	char text[ERRAND_LINE_MAX];
	struct line_value values[VALUES_MAX];
	size_t n;
};

/* The first line, taken apart; the bytes behind it begin at *payload_at. */
static bool
read_line(const char *text, size_t len, struct words *w, size_t *payload_at)
{
	const char *newline = memchr(text, '\n', len < ERRAND_LINE_MAX ? len : ERRAND_LINE_MAX);
	struct err ignored;

	if (newline == NULL)
		return false;
	*payload_at = (size_t)(newline - text) + 1;
	memcpy(w->text, text, *payload_at - 1);
	w->text[*payload_at - 1] = '\0';
	if (!line_parse(w->text, *payload_at - 1, w->values, VALUES_MAX, &w->n, &ignored))
		return false;
	for (size_t i = 0; i < w->n; i++) /* a value with a NUL in it would be read as a shorter one */
		if (w->values[i].data != NULL && strlen(w->values[i].data) != w->values[i].len)
			return false;
	return w->n > VERSION_AT && w->values[0].data != NULL && w->values[VERSION_AT].data != NULL;
}

static bool
is_word(const struct words *w, size_t at, const char *word)
{
	return w->values[at].data != NULL && strcmp(w->values[at].data, word) == 0;
}

static bool
get_number(const struct words *w, size_t at, uint64_t *out)
{
	return w->values[at].data != NULL && mark_parse_u64(w->values[at].data, out);
}

/* null, or the one word. */
static bool
get_flag(const struct words *w, size_t at, const char *word, bool *out)
{
	*out = is_word(w, at, word);
	return *out || w->values[at].data == NULL;
}

/* Another version is told from nonsense: a person can do something about it. */
static bool
check_version(const struct words *w, struct err *e)
{
	return is_word(w, VERSION_AT, version) ||
	    err_set(e, ERR_PEER_REFUSED, "fetching is spoken in version %s here and %.16s there: bring both agents to the same version", version, w->values[VERSION_AT].data);
}

static bool
malformed(struct err *e)
{
	return err_set(e, ERR_INPUT, "a malformed line of fetching");
}

static bool
parse_call(const struct words *w, struct errand *x)
{
	x->kind = ERRAND_CALL;
	if (w->n != 4 || !get_number(w, 2, &x->number) || x->number == 0 || w->values[3].data == NULL || w->values[3].len >= sizeof x->path)
		return false;
	memcpy(x->path, w->values[3].data, w->values[3].len + 1);
	return true;
}

bool
errand_parse(const char *text, size_t len, struct errand *x, size_t *payload_at, struct err *e)
{
	struct words w;

	memset(x, 0, sizeof *x);
	if (!read_line(text, len, &w, payload_at))
		return malformed(e);
	if (!check_version(&w, e))
		return false;
	if (is_word(&w, 0, "errand"))
		return parse_call(&w, x) || malformed(e);
	x->kind = is_word(&w, 0, "later") ? ERRAND_LATER : ERRAND_NOTHING;
	return (w.n == 2 && *payload_at == len && (x->kind == ERRAND_LATER || is_word(&w, 0, "nothing"))) || malformed(e);
}

bool
errand_parse_reply(const char *text, size_t len, struct errand_reply *r, size_t *payload_at, struct err *e)
{
	struct words w;
	bool ok;

	memset(r, 0, sizeof *r);
	if (!read_line(text, len, &w, payload_at))
		return malformed(e);
	if (!check_version(&w, e))
		return false;
	if (is_word(&w, 0, "fetch")) {
		r->kind = ERRAND_OPEN;
		ok = w.n == 4 && *payload_at == len && get_number(&w, 2, &r->wait_ms) && r->wait_ms <= ERRAND_WAIT_MAX_MS && get_flag(&w, 3, "once", &r->once);
	} else {
		r->kind = ERRAND_ANSWER;
		ok = is_word(&w, 0, "answer") && w.n == 6 && get_number(&w, 2, &r->number) && r->number > 0 && get_number(&w, 3, &r->status) &&
		    r->status >= 200 && r->status < 600 && get_number(&w, 4, &r->piece) && get_flag(&w, 5, "last", &r->last);
	}
	return ok || malformed(e);
}
