/* manifest.sha256 of a snapshot. A path with \, newline or carriage return has these escaped, and a \ before the whole
 * line, as sha256sum does it. */
#include "config.h"

#include "files/checklist.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	GAP = 2 /* blanks between hash and path */
};

bool
checklist_put(FILE *out, const unsigned char sha[CONTENT_BYTES], const char *path)
{
	char hex[CONTENT_HEX];

	content_hex(sha, hex);
	if (strpbrk(path, "\\\n\r") != NULL)
		(void)fputc('\\', out);
	(void)fprintf(out, "%s  " CHECKLIST_FOLDER, hex);
	for (; *path != '\0'; path++)
		switch (*path) {
		case '\\':
			(void)fputs("\\\\", out);
			break;
		case '\n':
			(void)fputs("\\n", out);
			break;
		case '\r':
			(void)fputs("\\r", out);
			break;
		default:
			(void)fputc(*path, out);
		}
	(void)fputc('\n', out);
	return ferror(out) == 0;
}

struct checklist {
	FILE *in;
	char *line;
	size_t room;
	bool have;  /* a line that was not asked for yet */
	bool found; /* that line's path was asked for */
	const char *path;
	unsigned char sha[CONTENT_BYTES];
};

bool
checklist_new(FILE *in, struct checklist **out, struct err *e)
{
	*out = calloc(1, sizeof **out);
	if (*out == NULL) {
		if (in != NULL)
			(void)fclose(in);
		return err_set(e, ERR_MEMORY, "out of memory for a list of hashes");
	}
	(*out)->in = in;
	return true;
}

void
checklist_free(struct checklist *c)
{
	if (c == NULL)
		return;
	if (c->in != NULL)
		(void)fclose(c->in);
	free(c->line);
	free(c);
}

static void
unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		if (*s == '\\' && s[1] != '\0') {
			s++;
			*to++ = *s == 'n' ? '\n' : *s == 'r' ? '\r' : *s;
		} else
			*to++ = *s;
	}
	*to = '\0';
}

/* One line; false when it is not of this form (it is skipped). */
static bool
parse(struct checklist *c, size_t len)
{
	bool escaped = c->line[0] == '\\';
	char *hex = c->line + escaped, *path;

	if (len > 0 && c->line[len - 1] == '\n')
		c->line[len - 1] = '\0';
	if (strlen(hex) <= CONTENT_HEX - 1 + GAP + sizeof CHECKLIST_FOLDER - 1)
		return false;
	path = hex + CONTENT_HEX - 1 + GAP;
	hex[CONTENT_HEX - 1] = '\0';
	if (!content_parse(hex, c->sha) || strncmp(path, CHECKLIST_FOLDER, sizeof CHECKLIST_FOLDER - 1) != 0)
		return false;
	path += sizeof CHECKLIST_FOLDER - 1;
	if (escaped)
		unescape(path);
	c->path = path;
	return true;
}

static void
next(struct checklist *c)
{
	ssize_t n;

	c->have = c->found = false;
	while (!c->have && c->in != NULL && (n = getline(&c->line, &c->room, c->in)) > 0)
		c->have = parse(c, (size_t)n);
}

bool
checklist_find(struct checklist *c, const char *path, unsigned char sha[CONTENT_BYTES])
{
	if (!c->have)
		next(c);
	while (c->have && strcmp(c->path, path) < 0)
		next(c);
	if (!c->have || strcmp(c->path, path) != 0)
		return false;
	memcpy(sha, c->sha, CONTENT_BYTES);
	c->found = true;
	return true;
}

const char *
checklist_passed(struct checklist *c, const char *before)
{
	bool found;

	do {
		if (!c->have)
			next(c);
		if (!c->have || (before != NULL && strcmp(c->path, before) >= 0))
			return NULL;
		found = c->found;
		c->have = false;
	} while (found);
	return c->path;
}

bool
checklist_any(struct checklist *c)
{
	if (!c->have)
		next(c);
	return c->have;
}

uint64_t
checklist_about(const struct checklist *c, uint64_t done)
{
	off_t at = c->in == NULL ? 0 : ftello(c->in);
	struct stat st;

	if (at <= 0 || fstat(fileno(c->in), &st) != 0)
		return 0;
	return (uint64_t)((double)done * (double)st.st_size / (double)at);
}
