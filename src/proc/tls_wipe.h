/* Keys in the hands of the supervisor and the command line, which have no vault. */
#ifndef PROC_TLS_WIPE_H
#define PROC_TLS_WIPE_H

/*
 * From now on OpenSSL wipes what it gives back. By itself it leaves copies of a key behind that it has read. Before anything else of OpenSSL; further
 * calls do nothing.
 */
void tls_wipe_freed(void);

#endif
