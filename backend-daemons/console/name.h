/*
 * A guest's name as the name of its log, and where logs are. Pure.
 */
#ifndef DUET_CONSOLE_NAME_H
#define DUET_CONSOLE_NAME_H

/* The folder of the logs, unless another one is configured. */
#define CONS_LOG_DIR "/var/log/duet/console"

/* Longest result with its final NUL: leaves room for ".log.NNN" within NAME_MAX. */
#define CONS_FILE_MAX 216

/* With ".log" behind it. */
#define CONS_LOG_NAME_MAX (CONS_FILE_MAX + 8)

/*
 * Writes @name into @file such that it is one component of a path, never hidden, never "." or "..",
 * and different for different names: letters, digits, '-', '_', '+' and '.' (not in front) stay,
 * any other byte becomes %XX. A result that would be too long keeps its beginning and ends in "%~"
 * and a hash of the whole.
 */
void cons_name_to_file(const char *name, char file[CONS_FILE_MAX]);

#endif
