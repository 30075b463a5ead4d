/* Depthwise filters that differ from pixel to pixel, in float32 on one thread. Maps are channels last: (N, H, W, C) in memory.
 *
 * y_c(p) = sum_t (w_g(t, p) o v_c(t)) x_c(p + t), where channels of a group g share the filter w, and o is a sum, a product, or
 * nothing where there are no taps v. One sample at a time is copied to planes, (C, H, W), in which all loops run along the rows.
 * No function allocates memory: the caller passes the workspace (`room`). */
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define TILE 16 /* pixels that are transposed together, as many as a cache line holds */

enum { ALONE, SUM, PRODUCT };

typedef struct {
  long samples, channels, height, width, out_height, out_width, kernel_size, stride, padding, dilation;
  long filters;     /* number of filters w at each pixel */
  long interleaved; /* whether channel c uses filter c mod filters; otherwise neighbouring channels share a filter */
  long combine;     /* ALONE, SUM or PRODUCT */
  long each;        /* whether each sample has its own taps v */
  long last;        /* whether w is channels last, (N, H', W', filters * k k), instead of (N, filters * k k, H', W') */
} place;

INLINE long pixels_of(const place *a) { return a->out_height * a->out_width; }
INLINE long padded_width(const place *a) { return a->width + 2 * a->padding; }
INLINE long padded_plane(const place *a) { return (a->height + 2 * a->padding) * padded_width(a); }
INLINE long group_of(const place *a, long c) { return a->interleaved ? c % a->filters : c / (a->channels / a->filters); }

/* Number of floats of the workspace of both functions. */
long pixel_filter_room(const place *a) {
  long k = a->kernel_size;
  return 2 * a->channels * padded_plane(a) + a->channels * pixels_of(a) + 2 * a->filters * k * k * pixels_of(a) + a->out_width;
}

/* to (columns, rows) = from (rows, columns) transposed; the pitches are the distances between rows in memory. */
INLINE void transposed(const float *restrict from, float *restrict to, long rows, long columns, long from_pitch, long to_pitch) {
  for (long first = 0; first < rows; first += TILE) {
    long last = first + TILE < rows ? first + TILE : rows;
    for (long c = 0; c < columns; c++)
      for (long r = first; r < last; r++) to[c * to_pitch + r] = from[r * from_pitch + c];
  }
}

/* Copies a sample (H, W, C) into the interior of padded planes, or back. */
INLINE void to_planes(const float *x, float *planes, const place *a) {
  for (long i = 0; i < a->height; i++)
    transposed(x + i * a->width * a->channels, planes + (i + a->padding) * padded_width(a) + a->padding, a->width, a->channels,
               a->channels, padded_plane(a));
}

INLINE void from_planes(const float *planes, float *x, const place *a) {
  for (long i = 0; i < a->height; i++)
    transposed(planes + (i + a->padding) * padded_width(a) + a->padding, x + i * a->width * a->channels, a->channels, a->width,
               padded_plane(a), a->channels);
}

/* One tap of one channel: y += (w o v) x. */
INLINE void tap_forward(const float *restrict x, const float *restrict w, float v, float *restrict y, const place *a, int combine,
                        long stride) {
  for (long i = 0; i < a->out_height; i++, x += a->stride * padded_width(a), w += a->out_width, y += a->out_width)
    for (long j = 0; j < a->out_width; j++)
      y[j] += (combine == SUM ? w[j] + v : combine == PRODUCT ? w[j] * v : w[j]) * x[j * stride];
}

/* Gradients of one tap of one channel from the gradient g of its output; returns that of v. `sums` has a float a column. */
INLINE float tap_backward(const float *restrict g, const float *restrict x, const float *restrict w, float v, float *restrict dx,
                          float *restrict dw, float *restrict sums, const place *a, int combine, long stride) {
  memset(sums, 0, a->out_width * sizeof *sums);
  for (long i = 0; i < a->out_height; i++) {
    for (long j = 0; j < a->out_width; j++) {
      float product = g[j] * x[j * stride];
      dx[j * stride] += g[j] * (combine == SUM ? w[j] + v : combine == PRODUCT ? w[j] * v : w[j]);
      dw[j] += combine == PRODUCT ? product * v : product;
      sums[j] += combine == PRODUCT ? product * w[j] : product;
    }
    x += a->stride * padded_width(a), dx += a->stride * padded_width(a);
    g += a->out_width, w += a->out_width, dw += a->out_width;
  }
  float total = 0;
  for (long j = 0; j < a->out_width; j++) total += sums[j];
  return total;
}

/* Calls a function with a constant way to combine and, where it is 1, a constant stride, so that the compiler sees both. */
#define EACH_WAY(call, ...)                                                                                                \
  (a->stride == 1 ? a->combine == SUM ? call(__VA_ARGS__, SUM, 1)                                                          \
                    : a->combine == PRODUCT ? call(__VA_ARGS__, PRODUCT, 1) : call(__VA_ARGS__, ALONE, 1)                  \
                  : a->combine == SUM ? call(__VA_ARGS__, SUM, a->stride)                                                  \
                    : a->combine == PRODUCT ? call(__VA_ARGS__, PRODUCT, a->stride) : call(__VA_ARGS__, ALONE, a->stride))

/* Start of the pixels of a padded plane that tap t reads. */
INLINE long start_of(const place *a, long t) {
  return (t / a->kernel_size * padded_width(a) + t % a->kernel_size) * a->dilation;
}

/* The filters of a sample as planes: copied to `planes` if they are channels last. */
INLINE const float *filters_of(const float *w, float *planes, const place *a) {
  long all = a->filters * a->kernel_size * a->kernel_size;
  if (!a->last) return w;
  transposed(w, planes, pixels_of(a), all, all, pixels_of(a));
  return planes;
}

/* y from x, filters w and taps v, which are (C, k k), or (N, C, k k) if `each`. */
void pixel_filter_forward(const float *x, const float *w, const float *v, float *y, float *room, const place *a) {
  long taps = a->kernel_size * a->kernel_size, pixels = pixels_of(a), wide = a->filters * taps * pixels;
  float *planes = room, *out = planes + a->channels * padded_plane(a), *copy = out + a->channels * pixels;
  memset(planes, 0, a->channels * padded_plane(a) * sizeof *planes);
  for (long n = 0; n < a->samples; n++) {
    const float *filters = filters_of(w + n * wide, copy, a);
    to_planes(x + n * a->height * a->width * a->channels, planes, a);
    memset(out, 0, a->channels * pixels * sizeof *out);
    for (long c = 0; c < a->channels; c++)
      for (long t = 0; t < taps; t++) {
        const float *from = planes + c * padded_plane(a) + start_of(a, t);
        const float *of = filters + (group_of(a, c) * taps + t) * pixels;
        float tap = v ? v[((a->each ? n : 0) * a->channels + c) * taps + t] : 0;
        EACH_WAY(tap_forward, from, of, tap, out + c * pixels, a);
      }
    transposed(out, y + n * pixels * a->channels, a->channels, pixels, pixels, a->channels);
  }
}

/* Gradients of x, w and v, each shaped like its variable, from the gradient g of y. `dv` is NULL where there is no v. */
void pixel_filter_backward(const float *g, const float *x, const float *w, const float *v, float *dx, float *dw, float *dv,
                           float *room, const place *a) {
  long taps = a->kernel_size * a->kernel_size, pixels = pixels_of(a), wide = a->filters * taps * pixels;
  long padded = a->channels * padded_plane(a);
  float *planes = room, *back = planes + padded, *out = back + padded, *copy = out + a->channels * pixels;
  float *to_filters = copy + wide, *sums = to_filters + wide;
  memset(planes, 0, padded * sizeof *planes);
  if (dv) memset(dv, 0, (a->each ? a->samples : 1) * a->channels * taps * sizeof *dv);
  for (long n = 0; n < a->samples; n++) {
    const float *filters = filters_of(w + n * wide, copy, a);
    float *to = a->last ? to_filters : dw + n * wide;
    to_planes(x + n * a->height * a->width * a->channels, planes, a);
    transposed(g + n * pixels * a->channels, out, pixels, a->channels, a->channels, pixels);
    memset(back, 0, padded * sizeof *back);
    memset(to, 0, wide * sizeof *to);
    for (long c = 0; c < a->channels; c++)
      for (long t = 0; t < taps; t++) {
        long at = c * padded_plane(a) + start_of(a, t), of = (group_of(a, c) * taps + t) * pixels;
        long tap = ((a->each ? n : 0) * a->channels + c) * taps + t;
        float of_tap = EACH_WAY(tap_backward, out + c * pixels, planes + at, filters + of, v ? v[tap] : 0, back + at, to + of,
                                sums, a);
        if (dv) dv[tap] += of_tap;
      }
    from_planes(back, dx + n * a->height * a->width * a->channels, a);
    if (a->last) transposed(to_filters, dw + n * wide, a->filters * taps, pixels, pixels, a->filters * taps);
  }
}
