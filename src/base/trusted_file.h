/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_TRUSTED_FILE_H
#define WSLUICE_BASE_TRUSTED_FILE_H

/* Whether others could have written a file that we act by, or may read what it hides. */
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define TRUSTED_FILE_ERROR_MAX 400

/* What is wrong with the mode of a file that holds a secret, or NULL. For any user: nobody else
 * may write it, nor read it where `hidden`; its group may do both. */
const char *trusted_file_mode_fault(const struct stat *st, bool hidden);

/*
 * What root acts by, only root may have written: the file, or folder of files, belongs to root or
 * to `user` (0: to root alone), and so does each folder on the way, links followed one by one; none
 * of them may be written by others, nor by a group but root's. In a folder with the sticky bit, as
 * /tmp is, others may add files and not replace them: it passes if what we go on to is ours.
 * Always true where this process was not executed by root, whoever it is by now: nothing of anybody
 * else's can be had then, and people keep their own files as they like. Also true for what cannot
 * be looked at, since it cannot be opened either. False with what is wrong, and what to do.
 */
bool trusted_file_judge(const char *path, uid_t user, char why[TRUSTED_FILE_ERROR_MAX]);

#endif
