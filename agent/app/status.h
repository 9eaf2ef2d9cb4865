/* The state of this node for people on the command line: what matters most first, and what to do about it. */
#ifndef TANDEM_APP_STATUS_H
#define TANDEM_APP_STATUS_H

#include "app/report.h"
#include "base/screen.h"

void status_put(const struct report *r, struct screen *s);
/* Parked records alone. */
void status_put_parked(const struct report *r, struct screen *s);

#endif
