/* The lines of fetching. Lives here: their form, strictly read. Not here: where errands lie (net/shelf), who runs
 * them (sync/fetch). */
#include "wire/errand.h"

#include <string.h>

enum { VERSION_AT = 1 };

static const char version[] = "1";

void
errand_put(struct buf *out, const struct errand *x)
{
	static const char *const kinds[] = { [ERRAND_CALL] = "errand", [ERRAND_NOTHING] = "nothing", [ERRAND_LATER] = "later" };

	line_begin(out);
	line_word(out, kinds[x->kind]);
	line_word(out, version);
	if (x->kind == ERRAND_CALL) {
		line_number(out, x->number);
		line_word(out, x->path);
	}
	line_end(out);
}

void
errand_put_reply(struct buf *out, const struct errand_reply *r)
{
	line_begin(out);
	line_word(out, r->kind == ERRAND_OPEN ? "fetch" : "answer");
	line_word(out, version);
	if (r->kind == ERRAND_OPEN) {
		line_number(out, r->wait_ms);
		line_word(out, r->once ? "once" : NULL);
	} else {
		line_number(out, r->number);
		line_number(out, r->status);
		line_number(out, r->piece);
		line_word(out, r->last ? "last" : NULL);
	}
	line_end(out);
}

/* --- reading --- */

/* The first line; the bytes behind it begin at *payload_at. */
static bool
read_line(const char *text, size_t len, struct line_short *w, size_t *payload_at)
{
	*payload_at = 0;
	return line_parse_short(text, len, payload_at, w) && w->n > VERSION_AT && w->values[0].data != NULL && w->values[VERSION_AT].data != NULL;
}

/* null, or the one word. */
static bool
get_flag(const struct line_value *v, const char *word, bool *out)
{
	*out = line_is_word(v, word);
	return *out || v->data == NULL;
}

/* Another version is told from nonsense: a person can do something about it. */
static bool
check_version(const struct line_short *w, struct err *e)
{
	return line_is_word(&w->values[VERSION_AT], version) ||
	    err_set(e, ERR_PEER_REFUSED, "fetching is spoken in version %s here and %.16s there: bring both agents to the same version", version, w->values[VERSION_AT].data);
}

static bool
malformed(struct err *e)
{
	return err_set(e, ERR_INPUT, "a malformed line of fetching");
}

static bool
parse_call(const struct line_short *w, struct errand *x)
{
	x->kind = ERRAND_CALL;
	if (w->n != 4 || !line_get_number(&w->values[2], &x->number) || x->number == 0 || w->values[3].data == NULL || w->values[3].len >= sizeof x->path)
		return false;
	memcpy(x->path, w->values[3].data, w->values[3].len + 1);
	return true;
}

bool
errand_parse(const char *text, size_t len, struct errand *x, size_t *payload_at, struct err *e)
{
	struct line_short w;

	memset(x, 0, sizeof *x);
	if (!read_line(text, len, &w, payload_at))
		return malformed(e);
	if (!check_version(&w, e))
		return false;
	if (line_is_word(&w.values[0], "errand"))
		return parse_call(&w, x) || malformed(e);
	x->kind = line_is_word(&w.values[0], "later") ? ERRAND_LATER : ERRAND_NOTHING;
	return (w.n == 2 && *payload_at == len && (x->kind == ERRAND_LATER || line_is_word(&w.values[0], "nothing"))) || malformed(e);
}

bool
errand_parse_reply(const char *text, size_t len, struct errand_reply *r, size_t *payload_at, struct err *e)
{
	struct line_short w;
	bool ok;

	memset(r, 0, sizeof *r);
	if (!read_line(text, len, &w, payload_at))
		return malformed(e);
	if (!check_version(&w, e))
		return false;
	if (line_is_word(&w.values[0], "fetch")) {
		r->kind = ERRAND_OPEN;
		ok = w.n == 4 && *payload_at == len && line_get_number(&w.values[2], &r->wait_ms) && r->wait_ms <= ERRAND_WAIT_MAX_MS && get_flag(&w.values[3], "once", &r->once);
	} else {
		r->kind = ERRAND_ANSWER;
		ok = line_is_word(&w.values[0], "answer") && w.n == 6 && line_get_number(&w.values[2], &r->number) && r->number > 0 && line_get_number(&w.values[3], &r->status) &&
		    r->status >= 200 && r->status < 600 && line_get_number(&w.values[4], &r->piece) && get_flag(&w.values[5], "last", &r->last);
	}
	return ok || malformed(e);
}
