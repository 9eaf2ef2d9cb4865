/* Changes to agent.conf. Lives here: finding a [peer] section in the text, the new text, judging it.
 * Not here: what sections mean (base/conf), how a file is replaced (base/private). */
#include "config.h"

#include "app/edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/conf_file.h"
#include "base/private.h"
#include "base/text.h"

/* The file's text, and the new one. */
struct edit {
	const char *path;
	char *old;
	size_t len;
	struct buf text;
};

static bool
open_edit(struct edit *d, const char *path, struct err *e)
{
	memset(d, 0, sizeof *d);
	d->path = path;
	buf_init(&d->text, CONF_FILE_MAX);
	if (!conf_file_read(path, &d->old, &d->len, e))
		return false;
	/* All room at once: a buffer that grows leaves copies of keys behind. */
	return buf_room(&d->text, CONF_FILE_MAX) != NULL || err_set(e, ERR_MEMORY, "out of memory for %s", path);
}

static void
close_edit(struct edit *d)
{
	text_wipe(d->text.data, d->text.cap);
	buf_free(&d->text);
	conf_file_free(d->old, d->len);
}

/* Judge the new text as a file of its own, then put it in the old one's place. */
static bool
commit(struct edit *d, bool really, struct err *e)
{
	size_t size = strlen(d->path) + sizeof ".new";
	char *draft = malloc(size);
	struct conf *conf = NULL;
	bool exists = false, ok;

	if (draft == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for %s", d->path);
	(void)snprintf(draft, size, "%s.new", d->path);
	(void)unlink(draft); /* of an agent that was killed */
	ok = buf_check(&d->text, d->path, e) && private_create(draft, d->text.data, d->text.len, &exists, e) &&
	    (!exists || err_set(e, ERR_IO, "%s: another agent is at work on it; try again", draft));
	if (ok) {
		ok = conf_load(draft, &conf, e);
		(void)unlink(draft);
		ok = ok && (!really || private_replace(d->path, d->text.data, d->text.len, e));
	}
	conf_free(conf);
	free(draft);
	return ok;
}

static const char *
line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	return lf == NULL ? end : lf + 1;
}

/* Is the line "[peer NAME]"? */
static bool
is_section(const char *p, const char *stop, const char *name)
{
	char kind[8] = "", found[CONF_NAME_MAX + 1] = "", line[128], rest[2] = "";
	size_t len = (size_t)(stop - p);

	if (len >= sizeof line)
		return false;
	memcpy(line, p, len);
	line[len] = '\0';
	return sscanf(line, "[ %7[a-z] %32[A-Za-z0-9._-] %1[]]", kind, found, rest) == 3 && strcmp(kind, "peer") == 0 &&
	    strcmp(found, name) == 0;
}

static bool
is_blank_or_comment(const char *p, const char *stop)
{
	while (p < stop && strchr(" \t\r\n", *p) != NULL)
		p++;
	return p == stop || *p == ';' || *p == '#';
}

/* The section: from its line to behind its last option (comments behind that belong to what comes). */
static bool
find_section(const struct edit *d, const char *name, const char **from, const char **to, struct err *e)
{
	const char *end = d->old + d->len;

	*from = NULL;
	for (const char *p = d->old, *next; p < end; p = next) {
		next = line_end(p, end);
		if (*from != NULL && *p == '[')
			break;
		if (*from == NULL && is_section(p, next, name))
			*from = p;
		if (*from != NULL && !is_blank_or_comment(p, next))
			*to = next;
	}
	return *from != NULL || err_set(e, ERR_USAGE, "there is no [peer %s] in %s", name, d->path);
}

static void
put_key(struct buf *b, const unsigned char key[CONF_KEY_BYTES])
{
	buf_str(b, "key = ");
	buf_hex(b, key, CONF_KEY_BYTES);
	buf_char(b, '\n');
}

static bool
add_peer(const char *path, const struct conf_peer *peer, bool really, struct err *e)
{
	struct edit d;
	bool ok = open_edit(&d, path, e);

	if (ok) {
		buf_put(&d.text, d.old, d.len);
		if (d.len > 0 && d.old[d.len - 1] != '\n')
			buf_char(&d.text, '\n');
		buf_fmt(&d.text, "\n[peer %s]\n", peer->name);
		if (peer->url[0] != '\0')
			buf_fmt(&d.text, "url = %s\n", peer->url);
		if (peer->pull)
			buf_str(&d.text, "pull = yes\n");
		put_key(&d.text, peer->key);
		if (peer->tls_pin[0] != '\0')
			buf_fmt(&d.text, "tls_pin = %s\n", peer->tls_pin);
		if (peer->seal)
			buf_str(&d.text, "seal = yes\n");
		ok = commit(&d, really, e);
	}
	close_edit(&d);
	return ok;
}

bool
edit_add_peer(const char *path, const struct conf_peer *peer, struct err *e)
{
	return add_peer(path, peer, true, e);
}

bool
edit_try_peer(const char *path, const struct conf_peer *peer, struct err *e)
{
	return add_peer(path, peer, false, e);
}

bool
edit_remove_peer(const char *path, const char *name, struct err *e)
{
	const char *from, *to;
	struct edit d;
	bool ok = open_edit(&d, path, e) && find_section(&d, name, &from, &to, e);

	if (ok) {
		/* One empty line before it goes too: what --pair wrote is gone without a trace. */
		if (from - d.old >= 2 && from[-1] == '\n' && from[-2] == '\n')
			from--;
		buf_put(&d.text, d.old, (size_t)(from - d.old));
		buf_put(&d.text, to, (size_t)(d.old + d.len - to));
		ok = commit(&d, true, e);
	}
	close_edit(&d);
	return ok;
}

bool
edit_set_key(const char *path, const char *name, const unsigned char key[CONF_KEY_BYTES], struct err *e)
{
	const char *from, *to;
	struct edit d;
	bool ok = open_edit(&d, path, e) && find_section(&d, name, &from, &to, e);

	if (ok) {
		buf_put(&d.text, d.old, (size_t)(from - d.old));
		for (const char *p = from, *next; p < to; p = next) {
			next = line_end(p, to);
			if (strncmp(p, "key", 3) == 0 && strchr(" \t=:", p[3]) != NULL)
				put_key(&d.text, key);
			else
				buf_put(&d.text, p, (size_t)(next - p));
		}
		buf_put(&d.text, to, (size_t)(d.old + d.len - to));
		ok = commit(&d, true, e);
	}
	close_edit(&d);
	return ok;
}
