/* Dynamic activations, in float32 on one thread. Maps are channels last: (N, P, C) in memory, with P pixels.
 *
 * y_c = max(a1_c x_c + b1_c z_c, a2_c x_c + b2_c z_c) with coefficients (4, N, C) in the order a1, b1, a2, b2, where z_c is 1 or,
 * if `shifted`, x_{c+1}, with c + 1 modulo C. No function allocates memory: the caller passes the workspace (`room`). */
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define CHUNK 128 /* pixels whose gradients of coefficients are added up before they join those of the others */

typedef struct { const float *a1, *b1, *a2, *b2; } lines;

INLINE lines of_sample(const float *coefficients, long n, long samples, long channels) {
  const float *first = coefficients + n * channels;
  long step = samples * channels;
  return (lines){first, first + step, first + 2 * step, first + 3 * step};
}

/* z = x_{c+1} of one pixel. */
INLINE void shift(const float *restrict x, float *restrict z, long channels) {
  memcpy(z, x + 1, (channels - 1) * sizeof *z);
  z[channels - 1] = x[0];
}

INLINE void pixel_forward(const float *restrict x, const float *restrict z, lines m, float *restrict y, long channels,
                          int shifted) {
  for (long c = 0; c < channels; c++) {
    float with = shifted ? z[c] : 1, one = m.a1[c] * x[c] + m.b1[c] * with, two = m.a2[c] * x[c] + m.b2[c] * with;
    y[c] = one > two || one != one ? one : two; /* NaN stays NaN */
  }
}

void dynamic_activation_forward(const float *x, const float *coefficients, float *y, float *room, long samples, long pixels,
                                long channels, long shifted) {
  for (long n = 0; n < samples; n++) {
    lines m = of_sample(coefficients, n, samples, channels);
    for (long p = 0; p < pixels; p++, x += channels, y += channels)
      if (shifted) shift(x, room, channels), pixel_forward(x, room, m, y, channels, 1);
      else pixel_forward(x, room, m, y, channels, 0);
  }
}

/* Gradients of one pixel; `sums` are those of the coefficients, and `dz` that of z. Equal lines share the gradient. */
INLINE void pixel_backward(const float *restrict g, const float *restrict x, const float *restrict z, lines m,
                           float *restrict dx, float *restrict dz, float *restrict sums, long channels, int shifted) {
  for (long c = 0; c < channels; c++) {
    float with = shifted ? z[c] : 1, one = m.a1[c] * x[c] + m.b1[c] * with, two = m.a2[c] * x[c] + m.b2[c] * with;
    float to_one = one > two ? g[c] : one == two ? g[c] / 2 : 0, to_two = g[c] - to_one;
    dx[c] = to_one * m.a1[c] + to_two * m.a2[c];
    if (shifted) dz[c] = to_one * m.b1[c] + to_two * m.b2[c];
    sums[c] += to_one * x[c];
    sums[channels + c] += to_one * with;
    sums[2 * channels + c] += to_two * x[c];
    sums[3 * channels + c] += to_two * with;
  }
}

/* Gradients of x and of the coefficients from the gradient g of y. `room` has 6 C floats. */
void dynamic_activation_backward(const float *g, const float *x, const float *coefficients, float *dx, float *dcoefficients,
                                 float *room, long samples, long pixels, long channels, long shifted) {
  float *z = room, *dz = z + channels, *sums = dz + channels;
  memset(dcoefficients, 0, 4 * samples * channels * sizeof *dcoefficients);
  for (long n = 0; n < samples; n++) {
    lines m = of_sample(coefficients, n, samples, channels);
    for (long first = 0; first < pixels; first += CHUNK) {
      memset(sums, 0, 4 * channels * sizeof *sums);
      for (long p = first; p < first + CHUNK && p < pixels; p++, g += channels, x += channels, dx += channels)
        if (shifted) {
          shift(x, z, channels);
          pixel_backward(g, x, z, m, dx, dz, sums, channels, 1);
          for (long c = 1; c < channels; c++) dx[c] += dz[c - 1];
          dx[0] += dz[channels - 1];
        } else pixel_backward(g, x, z, m, dx, dz, sums, channels, 0);
      for (long k = 0; k < 4; k++)
        for (long c = 0; c < channels; c++) dcoefficients[(k * samples + n) * channels + c] += sums[k * channels + c];
    }
  }
}
