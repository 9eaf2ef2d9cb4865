/* `agent --push TREE` and `--pull TREE`: one direction of an upload folder now, in any mode, without deletions. Not here:
 * telling and taking (files/tell, files/arrive, by files/tree's order). */
#ifndef TANDEM_APP_ORDER_H
#define TANDEM_APP_ORDER_H

#include "app/cli.h"

verb_run push_run;
verb_run pull_run;

#endif
