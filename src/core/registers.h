/*
 * Registers that memory is copied through hold a part of what was copied last until somebody uses them again: for as long as a process waits, and for who stops it there and
 * looks. A process that waits has them empty. Pure; any process.
 */
#ifndef CORE_REGISTERS_H
#define CORE_REGISTERS_H

/* Those of vectors, as far as this processor has them. To be called right before a wait. */
void registers_wipe(void);

#endif
