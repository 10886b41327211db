/* go_exp.h - e**x with the very bits that Go's math.Exp gives.
 *
 * runtime/pprof scales with math.Exp and truncates to integers: an exp that differs in the last
 * bit (glibc's does) can be off by one there. */
#ifndef GOPROFD_STORE_GO_EXP_H
#define GOPROFD_STORE_GO_EXP_H

#include <stdbool.h>

/* As math.Exp on this machine, for finite [x] up to 709 (beyond it: infinity). */
double go_exp(double x);

/* The forms that Go has.  On amd64 it picks by CPU, at start.  For tests. */
double go_exp_arm64(double x);
#if defined(__x86_64__)
double go_exp_amd64_plain(double x);
double go_exp_amd64_fma(double x); /* only where go_exp_has_fma() */
bool go_exp_has_fma(void);
#endif

#endif
