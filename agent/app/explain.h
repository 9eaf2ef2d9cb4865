/* --explain TABLE KEY: what this node knows of one record's life. */
#ifndef TANDEM_APP_EXPLAIN_H
#define TANDEM_APP_EXPLAIN_H

#include "app/cli.h"

enum {
	EXPLAIN_CHANGES = 200 /* the newest changes shown */
};

verb_run explain_run;

#endif
