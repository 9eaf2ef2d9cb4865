/* Patterns as in .gitignore. Lives here: reading lines, and holding a path against them.
 *
 * A pattern with a / elsewhere than at its end is held against the whole path, part by part; one without against the
 * last part. Inside a part * is any text, ? any byte, [a-z] a set; a part of two or more * stands for any number of
 * parts. So no star has to be tried with more than one stretch of text at a time, and a hostile pattern costs no more
 * than pattern times path. */
#include "config.h"

#include "files/exclude.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "files/beneath.h"

const char exclude_defaults[] =
    "*.tmp\n*.part\n*.crdownload\n.~lock.*\n~$*\n.*.sw?\n4913\n.nfs*\n.DS_Store\nThumbs.db\n.gitkeep\n";

struct pattern {
	char *text;   /* parted by /, without ! and without a / at either end */
	bool back;    /* ! */
	bool only_directories;
	bool whole;   /* held against the whole path */
};

struct exclude {
	struct pattern *patterns;
	size_t n;
};

/* --- one part ------------------------------------------------------------------------------------ */

/* [:alpha:] and its brothers. */
static const struct {
	const char *name;
	int (*is)(int c);
} classes[] = {
	{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl }, { "digit", isdigit }, { "graph", isgraph },
	{ "lower", islower }, { "print", isprint }, { "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
};

/* [:name:] at p: sets *hit and returns what follows; NULL for an unknown name, p itself for no class at all. */
static const char *
match_class(const char *p, unsigned char c, bool *hit)
{
	const char *close = p[0] == '[' && p[1] == ':' ? strchr(p + 2, ']') : NULL;

	if (close == NULL || close < p + 3 || close[-1] != ':')
		return p;
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
		size_t len = strlen(classes[i].name);

		if ((size_t)(close - 1 - (p + 2)) == len && memcmp(p + 2, classes[i].name, len) == 0) {
			*hit = *hit || classes[i].is(c) != 0;
			return close + 1;
		}
	}
	return NULL;
}

/* One member of a set, or a range of two. Returns what follows, NULL where the set does not end. */
static const char *
match_member(const char *p, unsigned char c, bool *hit)
{
	unsigned char low, high;

	if (*p == '\\')
		p++;
	if (*p == '\0')
		return NULL;
	low = high = (unsigned char)*p++;
	if (p[0] == '-' && p[1] != ']' && p[1] != '\0') {
		p++;
		if (*p == '\\')
			p++;
		if (*p == '\0')
			return NULL;
		high = (unsigned char)*p++;
	}
	*hit = *hit || (low <= c && c <= high);
	return p;
}

/* A set, p behind its [. Returns what follows its ], or NULL when it has none (then nothing fits); *fits: c is in
 * it. */
static const char *
match_set(const char *p, unsigned char c, bool *fits)
{
	bool negated = *p == '!' || *p == '^', hit = false, first = true;

	p += negated;
	while (first || *p != ']') {
		const char *behind = match_class(p, c, &hit);

		if (behind == p)
			behind = match_member(p, c, &hit);
		if (behind == NULL)
			return NULL;
		p = behind;
		first = false;
	}
	*fits = hit != negated;
	return p + 1;
}

/* Does one element at p fit the byte? Returns what follows it, NULL when it does not. */
static const char *
match_one(const char *p, unsigned char c)
{
	bool fits = false;

	if (*p == '?')
		return p + 1;
	if (*p == '[') {
		p = match_set(p + 1, c, &fits);
		return fits ? p : NULL;
	}
	if (*p == '\\')
		p++;
	return *p != '\0' && (unsigned char)*p == c ? p + 1 : NULL;
}

/* Where the part of a pattern at p ends: at a / or the end; one in a set does not count. */
static const char *
part_end(const char *p)
{
	while (*p != '\0' && *p != '/') {
		bool fits;
		const char *behind = *p == '[' ? match_set(p + 1, 0, &fits) : NULL;

		if (*p == '\\' && p[1] == '/')
			return p;
		if (behind != NULL)
			p = behind;
		else
			p += *p == '\\' && p[1] != '\0' ? 2 : 1;
	}
	return p;
}

/* The pattern's part [p, stop) against the name [s, end). After a mismatch the last star takes one byte more. */
static bool
match_part(const char *p, const char *stop, const char *s, const char *end)
{
	const char *star = NULL, *taken = NULL;

	while (s < end || p < stop) {
		const char *behind = NULL;

		if (p < stop && *p == '*') {
			star = ++p;
			taken = s;
			continue;
		}
		if (p < stop && s < end)
			behind = match_one(p, (unsigned char)*s);
		if (behind != NULL) {
			p = behind;
			s++;
		} else if (star != NULL && taken < end) {
			p = star;
			s = ++taken;
		} else
			return false;
	}
	return true;
}

/* --- paths ----------------------------------------------------------------------------------------- */

/* Two or more stars and nothing else. */
static bool
spans(const char *p, const char *stop)
{
	for (const char *q = p; q < stop; q++)
		if (*q != '*')
			return false;
	return stop - p >= 2;
}

/* What follows a part: behind its / or \/, NULL at the end of the pattern. */
static const char *
next_part(const char *stop)
{
	if (*stop == '\\')
		stop++;
	return *stop == '\0' ? NULL : stop + 1;
}

/* The whole path, part by part. After a mismatch the last ** takes one part more. A ** at the end takes at least one. */
static bool
match_path(const char *p, const char *s)
{
	const char *after = NULL, *taken = NULL; /* pattern behind the last **, the path it was tried with */

	for (;;) {
		const char *stop = p == NULL ? NULL : part_end(p);
		const char *end = s == NULL ? NULL : s + strcspn(s, "/");

		if (p == NULL && s == NULL)
			return true;
		if (p != NULL && spans(p, stop)) {
			after = next_part(stop);
			if (after == NULL)
				return s != NULL;
			p = after;
			taken = s;
			continue;
		}
		if (p != NULL && s != NULL && match_part(p, stop, s, end)) {
			p = next_part(stop);
			s = *end == '\0' ? NULL : end + 1;
			continue;
		}
		if (after == NULL || taken == NULL)
			return false;
		end = taken + strcspn(taken, "/");
		s = taken = *end == '\0' ? NULL : end + 1;
		p = after;
	}
}

static bool
fits(const struct pattern *p, const char *path, bool directory)
{
	const char *slash = strrchr(path, '/');
	const char *leaf = slash == NULL ? path : slash + 1;

	if (p->only_directories && !directory)
		return false;
	if (p->whole)
		return match_path(p->text, path);
	return match_part(p->text, p->text + strlen(p->text), leaf, leaf + strlen(leaf));
}

bool
exclude_entry(const struct exclude *x, const char *path, bool directory)
{
	if (strcmp(path, BENEATH_OWN) == 0)
		return true;
	for (size_t i = x == NULL ? 0 : x->n; i > 0; i--)
		if (fits(&x->patterns[i - 1], path, directory))
			return !x->patterns[i - 1].back;
	return false;
}

bool
exclude_path(const struct exclude *x, const char *path, bool directory)
{
	char *part = strdup(path);
	bool out = part == NULL; /* no memory: rather left alone than touched */

	for (char *p = part; !out && p != NULL && (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		out = exclude_entry(x, part, true);
		*p = '/';
	}
	free(part);
	return out || exclude_entry(x, path, directory);
}

/* --- lines ------------------------------------------------------------------------------------------ */

/* The line's end without blanks that no \ stands before. */
static size_t
trimmed(const char *line, size_t len)
{
	size_t end = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\\' && i + 1 < len)
			end = ++i + 1;
		else if (line[i] != ' ')
			end = i + 1;
	}
	return end;
}

/* One line as a pattern. An empty one or a comment adds nothing. */
static bool
add_line(struct exclude *x, const char *line, size_t len, struct err *e)
{
	struct pattern p = { .text = NULL };

	if (len > 0 && line[len - 1] == '\r')
		len--;
	len = line[0] == '#' ? 0 : trimmed(line, len);
	if (len > 0 && line[0] == '!') {
		p.back = true;
		line++;
		len--;
	}
	if (len > 0 && line[len - 1] == '/') {
		p.only_directories = true;
		len--;
	}
	if (len == 0)
		return true;
	p.whole = memchr(line, '/', len) != NULL;
	if (line[0] == '/') {
		line++;
		len--;
	}
	if (x->n == EXCLUDE_PATTERNS_MAX)
		return err_set(e, ERR_CONFIG, "more than %d lines of exclude; one pattern can stand for many", EXCLUDE_PATTERNS_MAX);
	p.text = strndup(line, len);
	if (p.text == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the lines of exclude");
	x->patterns[x->n++] = p;
	return true;
}

static bool
add_lines(struct exclude *x, const char *text, struct err *e)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		if (!add_line(x, text, len, e))
			return false;
		text += len + (text[len] == '\n');
	}
	return true;
}

bool
exclude_new(const char *patterns, bool defaults, struct exclude **out, struct err *e)
{
	struct exclude *x = calloc(1, sizeof *x);

	*out = NULL;
	if (x != NULL)
		x->patterns = calloc(EXCLUDE_PATTERNS_MAX, sizeof *x->patterns);
	if (x == NULL || x->patterns == NULL) {
		free(x);
		return err_set(e, ERR_MEMORY, "out of memory for the lines of exclude");
	}
	if ((defaults && !add_lines(x, exclude_defaults, e)) || !add_lines(x, patterns, e)) {
		exclude_free(x);
		return false;
	}
	*out = x;
	return true;
}

bool
exclude_of_option(const char *option, struct exclude **out, struct err *e)
{
	char *lines = strdup(option);
	bool ok;

	*out = NULL;
	if (lines == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the lines of exclude");
	for (char *p = lines; *p != '\0'; p++)
		if (*p == ',')
			for (*p = '\n'; p[1] == ' '; p++)
				p[1] = '\n';
	ok = exclude_new(lines, true, out, e);
	free(lines);
	return ok;
}

void
exclude_free(struct exclude *x)
{
	if (x == NULL)
		return;
	for (size_t i = 0; i < x->n; i++)
		free(x->patterns[i].text);
	free(x->patterns);
	free(x);
}
