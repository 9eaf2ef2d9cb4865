/* The snapshots of a tree that there are: directories named 2026-11-21_163000 (UTC). Which of them go is decided by the
 * dates in their names alone. Not here: making one (snapshot). */
#ifndef TANDEM_FILES_ROTATION_H
#define TANDEM_FILES_ROTATION_H

#include "base/conf.h" /* struct conf_keep */
#include "files/beneath.h"

enum {
	SNAPSHOT_NAME = 18,   /* "2026-11-21_163000" and a NUL */
	SNAPSHOT_FOLDER = 32  /* with .partial or .removing behind it */
};

/* Those with that tail behind the date (complete ones have none, ""), ascending; the tail is left out. Free with free. */
MUST_CHECK enum fate rotation_list(const struct beneath *to, const char *tail, char (**names)[SNAPSHOT_NAME], size_t *n, struct err *e);
/* Which of them go: pure, by the dates in the names. go[i] is set for each; the newest stays always. */
void rotation_choose(const char (*names)[SNAPSHOT_NAME], size_t n, const struct conf_keep *keep, bool *go);
/* Remove those, and what an interrupted removal left. */
MUST_CHECK enum fate rotation_prune(const struct beneath *to, const struct conf_keep *keep, bool dry_run, uint64_t *pruned, struct err *e);
/* Is it the name of a complete snapshot? */
bool rotation_name_ok(const char *name);
/* Is name of that form, with that tail (.partial, .removing)? */
bool rotation_form(const char *name, const char *tail);
/* Remove the directories of that form, except so many of the newest. */
MUST_CHECK enum fate rotation_remove(const struct beneath *to, const char *tail, size_t except, struct err *e);

#endif
