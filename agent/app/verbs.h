/* What each verb does, one function a verb; the table that cli.c reads. */
#ifndef TANDEM_APP_VERBS_H
#define TANDEM_APP_VERBS_H

#include "app/cli.h"

extern const struct verb verb_table[]; /* ends with name == NULL */

#endif
