/* Which planted bug is alive. Not here: the bugs; they stand where they do harm. */
#include "config.h"

#include "base/plant.h"

#ifdef PLANTED_BUGS

#include <stdlib.h>
#include <string.h>

static const char *const names[PLANTS] = {
	[PLANT_POSITION_FIRST] = "position-first",
	[PLANT_ANSWER_FIRST] = "answer-first",
	[PLANT_WATERMARK] = "watermark",
	[PLANT_NO_ROLLBACK] = "no-rollback",
	[PLANT_ECHO] = "echo",
	[PLANT_INCARNATION] = "incarnation",
	[PLANT_LOOK_FIRST] = "look-first",
	[PLANT_LOSER_DROPPED] = "loser-dropped",
	[PLANT_NO_SNAPSHOT] = "no-snapshot",
	[PLANT_NO_REQUEUE] = "no-requeue",
	[PLANT_REFUSED_SEEN] = "refused-seen",
	[PLANT_UNSIGNED] = "unsigned",
};

const char *
plant_name(int i)
{
	return i < PLANTS ? names[i] : NULL;
}

bool
plant_is(enum plant bug)
{
	const char *alive = getenv("TANDEM_PLANT");

	return alive != NULL && strcmp(alive, names[bug]) == 0;
}

#else

/* ISO C wants something here. */
typedef int plant_nothing;

#endif
