/* netwatch.h - where a process would connect to, found out without a byte leaving it. */
#ifndef KEEL_CSYSTEM_NETWATCH_H
#define KEEL_CSYSTEM_NETWATCH_H

/* From now on this thread, and all it starts, reaches nothing: connecting and sending fail with "network unreachable", and each try is written as a
 * line to `record_fd` (open it for appending):
 *     name HOST          a name server would have been asked for HOST
 *     address ADDRESS    a connection to ADDRESS would have been made
 * There is no way back. 0 when it is in force, -1 where the kernel doesn't allow filters. */
int csystem_watch_network(int record_fd);

#endif
