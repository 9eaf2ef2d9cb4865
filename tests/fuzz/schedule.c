/* Several requests one after the other, to nodes that remember: the bytes choose, step by step, who writes what,
 * which letter of the simulation (tests/sim) arrives, is lost, doubled or late, who crashes and who is restored.
 * What must hold is the simulation's: nothing lost, nothing twice, all equal at the end. The decisions are the
 * program's own functions. */
#include "config.h"

#include <string.h>

#include "../sim/sim.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct world w;

	world_play(&w, data, len, RIGHT);
	if (w.failure[0] != '\0')
		(void)fprintf(stderr, "schedule: %s\n", w.failure);
	MUST(w.failure[0] == '\0');
	return 0;
}
