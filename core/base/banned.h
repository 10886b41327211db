/* banned.h - calls that this house does not make, with the cure in the error.
 *
 * Forced into every file of ours with -include.  The system headers come first, so only
 * our own calls are poisoned; h2o, Lua and Criterion headers still compile. */
#ifndef GOPROFD_BASE_BANNED_H
#define GOPROFD_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#define strcpy(...) use_buffer_append_instead_of_strcpy
#undef strcat
#define strcat(...) use_buffer_append_instead_of_strcat
#undef strncpy
#define strncpy(...) use_buffer_append_or_memcpy_instead_of_strncpy
#undef strncat
#define strncat(...) use_buffer_append_instead_of_strncat
#undef sprintf
#define sprintf(...) use_snprintf_or_buffer_printf_instead_of_sprintf
#undef vsprintf
#define vsprintf(...) use_vsnprintf_instead_of_vsprintf
#undef gets
#define gets(...) use_getline_instead_of_gets
#undef atoi
#define atoi(...) use_strtol_instead_of_atoi
#undef atol
#define atol(...) use_strtol_instead_of_atol
#undef strtok
#define strtok(...) use_strtok_r_or_strcspn_instead_of_strtok
#undef strerror
#define strerror(...) use_error_errno_text_instead_of_strerror
#undef gmtime
#define gmtime(...) use_gmtime_r_instead_of_gmtime
#undef localtime
#define localtime(...) use_gmtime_r_instead_of_localtime

#endif
