/* --backup and --restore: snapshots of upload folders. Lives here: which tree, where to, what is printed. The work is
 * files/snapshot's and files/restore's. */
#ifndef TANDEM_APP_BACKUP_H
#define TANDEM_APP_BACKUP_H

#include "app/cli.h"

verb_run backup_run;
verb_run restore_verb;

#endif
