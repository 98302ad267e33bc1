/* Supervisor and ledger. */
#ifndef LEDGER_STORE_SCHEMA_H
#define LEDGER_STORE_SCHEMA_H

#include <stdint.h>

/* The number of migrations of the store that this build knows: what its ledger brings every store up to. */
uint32_t store_schema(void);

#endif
