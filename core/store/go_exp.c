/* go_exp.c - Go's own exponential functions, step by step.
 *
 * Go computes math.Exp in assembly where it has one: src/math/exp_amd64.s (unchanged from Go 1.19
 * to 1.27; Shibata's method, from SLEEF) and src/math/exp_arm64.s (the FreeBSD method of exp.go
 * with fused steps).  The order of operations and where they round is what counts here, so it is
 * kept to the letter; this file must be compiled without contraction of a*b+c (see CMakeLists.txt).
 * Pure functions; any thread. */
#include "core/store/go_exp.h"

#include <math.h>
#include <stdint.h>

/* 2**[exponent], which must be that of a normal double. */
static double power_of_two(int exponent)
{
    const uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Above, the result is infinite. */
static const double overflow = 7.09782712893384e+02;

enum {
    NORMAL_EXPONENT_MIN = -1022,
    NORMAL_EXPONENT_MAX = 1023,
    EXPONENT_MIN = -1075, /* below, Go's assembly answers 0 */
};

/* [fraction] * 2**[exponent]; a result that is not normal is rounded once, in the last step. */
static double scale(double fraction, int exponent)
{
    if (exponent > NORMAL_EXPONENT_MAX)
        return INFINITY;
    if (exponent >= NORMAL_EXPONENT_MIN)
        return fraction * power_of_two(exponent);
    if (exponent < EXPONENT_MIN)
        return 0;
    return fraction * power_of_two(exponent - NORMAL_EXPONENT_MIN) *
           power_of_two(NORMAL_EXPONENT_MIN);
}

/* ---- arm64 ---- */

/* After exp.go (FreeBSD's e_exp.c): x = k ln 2 + r, a rational approximation in r*r. */
double go_exp_arm64(double x)
{
    static const double underflow = -7.45133219101941108420e+02;
    static const double log2_e = 1.44269504088896338700e+00;
    static const double ln2_high = 6.93147180369123816490e-01;
    static const double ln2_low = 1.90821492927058770002e-10;
    static const double p[] = {
        1.66666666666666657415e-01,  -2.77777777770155933842e-03, 6.61375632143793436117e-05,
        -1.65339022054652515390e-06, 4.13813679705723846039e-08,
    };
    if (x > overflow)
        return INFINITY;
    if (x < underflow)
        return 0;
    if (fabs(x) < 0x1p-28)
        return 1 + x;
    const int k = (int)fma(log2_e, x, x < 0 ? -0.5 : 0.5);
    const double high = fma(-(double)k, ln2_high, x);
    const double low = (double)k * ln2_low;
    const double r = high - low;
    const double t = r * r;
    double c = fma(t, p[4], p[3]);
    for (int i = 2; i >= 0; i--)
        c = fma(t, c, p[i]);
    c = fma(-t, c, r);
    const double y = 1 - ((low - (r * c) / (2 - c)) - high);
    return scale(y, k);
}

#if defined(__x86_64__)
#include <emmintrin.h>

/* ---- amd64 ---- */

#define LN2_UPPER 0.69314718055966295651160180568695068359375
#define LN2_LOWER 0.28235290563031577122588448175013436025525412068e-12
#define LOG2_E 1.4426950408889634073599246810018920

/* Coefficients of the Taylor series, 1/8! to 1/2! and 1. */
static const double taylor[] = {
    2.4801587301587301587e-5,
    1.9841269841269841270e-4,
    1.3888888888888888889e-3,
    8.3333333333333333333e-3,
    4.1666666666666666667e-2,
    1.6666666666666666667e-1,
    0.5,
    1.0,
};
enum { TAYLOR_COUNT = sizeof(taylor) / sizeof(taylor[0]) };

/* x / ln 2, rounded to nearest by the CPU as CVTSD2SL does; INT_MIN when out of range. */
static int exponent_of(double x)
{
    return _mm_cvtsd_si32(_mm_set_sd(LOG2_E * x));
}

double go_exp_amd64_plain(double x)
{
    if (x > overflow)
        return INFINITY;
    const int exponent = exponent_of(x);
    double r = x - LN2_UPPER * (double)exponent;
    r = r - LN2_LOWER * (double)exponent;
    r = r * 0.0625;
    double sum = taylor[0];
    for (int i = 1; i < TAYLOR_COUNT; i++)
        sum = sum * r + taylor[i];
    r = r * sum; /* e**r - 1; squared four times: (1+y)**2 - 1 = y * (y + 2) */
    for (int i = 0; i < 4; i++)
        r = r * (r + 2.0);
    return scale(r + 1.0, exponent);
}

__attribute__((target("fma"))) double go_exp_amd64_fma(double x)
{
    if (x > overflow)
        return INFINITY;
    const int exponent = exponent_of(x);
    double r = __builtin_fma(-LN2_UPPER, (double)exponent, x);
    r = __builtin_fma(-LN2_LOWER, (double)exponent, r);
    r = r * 0.0625;
    double sum = taylor[0];
    for (int i = 1; i < TAYLOR_COUNT; i++)
        sum = __builtin_fma(sum, r, taylor[i]);
    r = r * sum;
    for (int i = 0; i < 3; i++)
        r = r * (r + 2.0);
    /* The last squaring and the 1 are one fused step here. */
    return scale(__builtin_fma(r, r + 2.0, 1.0), exponent);
}

bool go_exp_has_fma(void)
{
    return __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma");
}

double go_exp(double x)
{
    return go_exp_has_fma() ? go_exp_amd64_fma(x) : go_exp_amd64_plain(x);
}

#else

/* On machines that are neither, Go runs exp.go or an assembly of their own; there the last bit may
 * differ. */
double go_exp(double x)
{
    return go_exp_arm64(x);
}
#endif
