/* The quick way: write the whole group with bulk statements, then look whether anything concurrent was
 * touched. The rows are locked by then, so the look is as safe as lock, look, write. */
#ifndef TANDEM_APPLY_QUICK_H
#define TANDEM_APPLY_QUICK_H

#include "apply/pass.h"

/* *careful: the group needs the other way (something concurrent, refused or out of the ordinary); the
 * caller rolls back. An error is one that ends the attempt altogether. */
MUST_CHECK bool quick_apply(struct pass *p, struct pass_reader *r, bool *careful, struct err *e);

#endif
