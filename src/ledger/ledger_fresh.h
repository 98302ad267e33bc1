/* A store whose tables are made, for tests that begin with one: of the thousands that they want, few make the tables themselves. Tests only. */
#ifndef LEDGER_LEDGER_FRESH_H
#define LEDGER_LEDGER_FRESH_H

/*
 * To be called before a ledger is opened in a directory that is empty. The first of a process stays so: its ledger makes the tables, as any
 * operator's does. Each further one gets a ledger.db as the migrations leave it.
 */
void ledger_fresh(const char *dir);
/* For a process whose ledgers write to a disk of its own making, where no file can be put: all of them make their tables. */
void ledger_fresh_none(void);

#endif
