/* Bugs on purpose, to prove that the tests find them (scripts/planted). Only a build made with
 * --enable-planted-bugs has any; in every other one plant_is() is the constant false. */
#ifndef TANDEM_BASE_PLANT_H
#define TANDEM_BASE_PLANT_H

enum plant {
	PLANT_POSITION_FIRST, /* the cursor is committed before the rows it speaks of */
	PLANT_ANSWER_FIRST,   /* a group is answered before it is committed */
	PLANT_WATERMARK,      /* ids below the highest count as seen: no holes */
	PLANT_NO_ROLLBACK,    /* after a lock wait timeout the rest is committed */
	PLANT_ECHO,	      /* what was applied is captured like an app's change */
	PLANT_INCARNATION,    /* nobody asks which life of a database this is */
	PLANT_LOOK_FIRST,     /* concurrent changes are looked for before the rows are locked */
	PLANT_LOSER_DROPPED,  /* the version that lost is not kept */
	PLANT_NO_SNAPSHOT,    /* mark and rows are read one after the other, not in one snapshot */
	PLANT_NO_REQUEUE,     /* a whole record's verdict is not queued again */
	PLANT_REFUSED_SEEN,   /* a refused record counts as seen */
	PLANT_UNSIGNED,	      /* an answer is believed whoever signed it */
	PLANTS
};

#ifdef PLANTED_BUGS
#include <stdbool.h>

/* Is this the bug that $TANDEM_PLANT names? */
bool plant_is(enum plant bug);
/* The i-th bug's name, NULL past the last. */
const char *plant_name(int i);
#else
#define plant_is(bug) false
#endif

#endif
