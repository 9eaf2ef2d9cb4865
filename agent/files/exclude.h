/* Which paths of a tree are left alone: patterns as in .gitignore. Pure.
 * One pattern a line; # begins a comment; ! takes back; a / at the end means directories alone; a /
 * elsewhere ties the pattern to the root; ** spans directories; \ takes a character as it is. The
 * last pattern that fits decides. Nothing below an excluded directory can be taken back. */
#ifndef TANDEM_FILES_EXCLUDE_H
#define TANDEM_FILES_EXCLUDE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
	EXCLUDE_PATTERNS_MAX = 4096 /* lines: each entry of a walk is held against all of them */
};

struct exclude;

/* Temporary, lock and swap files of programs, always left out unless a ! pattern takes them back:
 * one a line. */
extern const char exclude_defaults[];

/* defaults: exclude_defaults stand before the patterns. */
MUST_CHECK bool exclude_new(const char *patterns, bool defaults, struct exclude **out, struct err *e);
/* The same from an option of agent.conf, where patterns stand between commas; with the defaults. */
MUST_CHECK bool exclude_of_option(const char *option, struct exclude **out, struct err *e);
void exclude_free(struct exclude *x);
/* Is this entry left out, given that the directories above it are not (a walk's question)? .sync in
 * the root always is. */
bool exclude_entry(const struct exclude *x, const char *path, bool directory);
/* Is this path left out, itself or by a directory above it? */
bool exclude_path(const struct exclude *x, const char *path, bool directory);

#endif
