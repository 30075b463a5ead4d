/* Float32 kernels of a training step, on one thread. Maps are channels last: (rows, channels), or (N, H, W, C), in memory.
 * Nothing here allocates: whoever calls gives the room that is worked in. */
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define MOST 4096 /* channels of a norm */
#define ROWS 128  /* whose sums are kept in float32 before they are added in float64 */

/* ---- BatchNorm over the rows, and the clamp behind it that ReLU and ReLU6 are ---- */

INLINE float clamped(float v, float low, float high) {
  v = v < low ? low : v; /* NaN stays NaN */
  return v > high ? high : v;
}

/* The rows of a chunk, and the chunks from the last to the first: the last ones are still in the processor's cache. */
#define CHUNKS_BACKWARDS(rows, first, last)                                                                                \
  for (long first = ((rows) - 1) / ROWS * ROWS, last = (rows); first >= 0; last = first, first -= ROWS)

INLINE void normalise(const float *restrict x, float *restrict y, const float *restrict slope, const float *restrict offset,
                      long rows, long channels, int clamp, float low, float high) {
  CHUNKS_BACKWARDS(rows, first, last)
  for (long p = first; p < last; p++) {
    const float *from = x + p * channels;
    float *to = y + p * channels;
    for (long c = 0; c < channels; c++) {
      float v = from[c] * slope[c] + offset[c];
      to[c] = clamp ? clamped(v, low, high) : v;
    }
  }
}

/* y = clamp((x - mean) inverse weight + bias), inverse = 1 / sqrt(variance + eps); mean and inverse are written for the way back,
 * and the running statistics take their share of this batch's. */
void norm_forward(const float *restrict x, float *restrict y, const float *restrict weight, const float *restrict bias,
                  float *restrict running_mean, float *restrict running_variance, float *restrict mean,
                  float *restrict inverse, long rows, long channels, float eps, float momentum, int clamp, float low,
                  float high) {
  double sum[MOST], square[MOST];
  float s[MOST], q[MOST], near[MOST]; /* near: about the mean, so that squares do not cancel */
  long some = rows < ROWS ? rows : ROWS;
  for (long c = 0; c < channels; c++) sum[c] = square[c] = 0;
  for (long p = 0; p < some; p++)
    for (long c = 0; c < channels; c++) sum[c] += x[p * channels + c];
  for (long c = 0; c < channels; c++) near[c] = (float)(sum[c] / some), sum[c] = 0;
  for (long first = 0; first < rows; first += ROWS) {
    long last = first + ROWS < rows ? first + ROWS : rows;
    memset(s, 0, channels * sizeof *s);
    memset(q, 0, channels * sizeof *q);
    for (long p = first; p < last; p++) {
      const float *row = x + p * channels;
      for (long c = 0; c < channels; c++) {
        float d = row[c] - near[c];
        s[c] += d;
        q[c] += d * d;
      }
    }
    for (long c = 0; c < channels; c++) sum[c] += s[c], square[c] += q[c];
  }
  for (long c = 0; c < channels; c++) {
    double shifted = sum[c] / rows, variance = square[c] / rows - shifted * shifted;
    variance = variance < 0 ? 0 : variance;
    mean[c] = (float)(near[c] + shifted);
    inverse[c] = (float)(1 / sqrt(variance + eps));
    running_mean[c] += momentum * (mean[c] - running_mean[c]);
    running_variance[c] += momentum * ((float)(variance * rows / (rows - 1)) - running_variance[c]);
    s[c] = inverse[c] * weight[c];
    q[c] = bias[c] - mean[c] * s[c];
  }
  if (clamp) normalise(x, y, s, q, rows, channels, 1, low, high);
  else normalise(x, y, s, q, rows, channels, 0, low, high);
}

INLINE void norm_gradients(const float *restrict g, const float *restrict x, float *restrict dx, const float *restrict weight,
                           const float *restrict bias, const float *restrict mean, const float *restrict inverse,
                           float *restrict dweight, float *restrict dbias, long rows, long channels, int clamp, float low,
                           float high) {
  double sum[MOST], product[MOST];
  float s[MOST], q[MOST], slope[MOST], offset[MOST], along[MOST], shift[MOST];
  for (long c = 0; c < channels; c++) {
    sum[c] = product[c] = 0;
    slope[c] = inverse[c] * weight[c];
    offset[c] = bias[c] - mean[c] * slope[c];
  }
  for (long first = 0; first < rows; first += ROWS) {
    long last = first + ROWS < rows ? first + ROWS : rows;
    memset(s, 0, channels * sizeof *s);
    memset(q, 0, channels * sizeof *q);
    for (long p = first; p < last; p++) {
      const float *row = x + p * channels, *grad = g + p * channels;
      for (long c = 0; c < channels; c++) {
        float v = row[c] * slope[c] + offset[c];
        float t = !clamp || (v > low && v < high) ? grad[c] : 0.0f;
        s[c] += t;
        q[c] += t * (row[c] - mean[c]);
      }
    }
    for (long c = 0; c < channels; c++) sum[c] += s[c], product[c] += q[c];
  }
  for (long c = 0; c < channels; c++) {
    dbias[c] = (float)sum[c];
    dweight[c] = (float)(product[c] * inverse[c]);
    along[c] = (float)(-slope[c] * inverse[c] * inverse[c] * product[c] / rows);
    shift[c] = (float)(-slope[c] * sum[c] / rows) - along[c] * mean[c];
  }
  CHUNKS_BACKWARDS(rows, first, last)
  for (long p = first; p < last; p++) {
    const float *row = x + p * channels, *grad = g + p * channels;
    float *to = dx + p * channels;
    for (long c = 0; c < channels; c++) {
      float v = row[c] * slope[c] + offset[c];
      float t = !clamp || (v > low && v < high) ? grad[c] : 0.0f;
      to[c] = slope[c] * t + along[c] * row[c] + shift[c];
    }
  }
}

void norm_backward(const float *g, const float *x, float *dx, const float *weight, const float *bias, const float *mean,
                   const float *inverse, float *dweight, float *dbias, long rows, long channels, int clamp, float low,
                   float high) {
  if (clamp) norm_gradients(g, x, dx, weight, bias, mean, inverse, dweight, dbias, rows, channels, 1, low, high);
  else norm_gradients(g, x, dx, weight, bias, mean, inverse, dweight, dbias, rows, channels, 0, low, high);
}

/* ---- Depthwise convolution with a kernel a sample ----
 * LANES channels of one sample at a time are copied into a small map with zeros around it, where every tap is one vector. */

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

/* A sample's map: pixels, channels in memory from one pixel to the next, and how many of LANES channels there are. */
typedef struct { long height, width, channels, live; } map;

long lanes(void) { return LANES; }

INLINE vector load(const float *p) {
  vector v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float *p, vector v) { memcpy(p, &v, sizeof v); }

INLINE void copy_pixel(const float *restrict from, float *restrict to, long live) {
  if (live == LANES) store(to, load(from));
  else for (long c = 0; c < live; c++) to[c] = from[c];
}

INLINE void copy_in(const float *restrict x, float *restrict to, map m, long padding) {
  long across = m.width + 2 * padding;
  memset(to, 0, (m.height + 2 * padding) * across * LANES * sizeof *to);
  for (long h = 0; h < m.height; h++)
    for (long w = 0; w < m.width; w++, x += m.channels) copy_pixel(x, to + ((h + padding) * across + padding + w) * LANES, m.live);
}

INLINE void copy_out(const float *restrict from, float *restrict x, map m, long padding) {
  long across = m.width + 2 * padding;
  for (long h = 0; h < m.height; h++)
    for (long w = 0; w < m.width; w++, x += m.channels) copy_pixel(from + ((h + padding) * across + padding + w) * LANES, x, m.live);
}

INLINE void copy_taps(const float *restrict kernel, float *restrict to, long taps, long channels, long live) {
  memset(to, 0, taps * LANES * sizeof *to);
  for (long t = 0; t < taps; t++)
    for (long c = 0; c < live; c++) to[t * LANES + c] = kernel[t * channels + c];
}

INLINE void convolve(const float *restrict padded, const float *restrict taps, float *restrict y, long across, map out, int k,
                     long stride) {
  vector held[k * k];
  for (int t = 0; t < k * k; t++) held[t] = load(taps + t * LANES);
  for (long h = 0; h < out.height; h++) {
    const float *from = padded + h * stride * across * LANES;
    for (long w = 0; w < out.width; w++, from += stride * LANES, y += out.channels) {
      vector total = {0};
      for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++) total += held[u * k + v] * load(from + (u * across + v) * LANES);
      if (out.live == LANES) store(y, total);
      else for (long c = 0; c < out.live; c++) y[c] = total[c];
    }
  }
}

/* Adds each gradient to the pixels that its taps saw: dx where the stride is more than 1. */
INLINE void spread(const float *restrict g, const float *restrict taps, float *restrict dx, long across, map out, int k,
                   long stride) {
  vector held[k * k];
  for (int t = 0; t < k * k; t++) held[t] = load(taps + t * LANES);
  for (long h = 0; h < out.height; h++) {
    float *to = dx + h * stride * across * LANES;
    for (long w = 0; w < out.width; w++, to += stride * LANES, g += LANES) {
      vector grad = load(g);
      for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++) {
          float *at = to + (u * across + v) * LANES;
          store(at, load(at) + held[u * k + v] * grad);
        }
    }
  }
}

INLINE void taps_gradient(const float *restrict g, long g_across, const float *restrict padded, float *restrict dtaps, long across,
                          map out, int k, long stride) {
  vector sums[k * k];
  for (int t = 0; t < k * k; t++) sums[t] = (vector){0};
  for (long h = 0; h < out.height; h++) {
    const float *from = padded + h * stride * across * LANES, *grads = g + h * g_across * LANES;
    for (long w = 0; w < out.width; w++, from += stride * LANES, grads += LANES) {
      vector grad = load(grads);
      for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++) sums[u * k + v] += grad * load(from + (u * across + v) * LANES);
    }
  }
  for (int t = 0; t < k * k; t++) store(dtaps + t * LANES, sums[t]);
}

INLINE void gradients(const float *restrict g, const float *restrict x, float *restrict dx, const float *restrict taps,
                      float *restrict dtaps, float *restrict room, map in, map out, int k, long stride, long padding) {
  long across = in.width + 2 * padding, pixels = (in.height + 2 * padding) * across;
  float *grad = room + pixels * LANES;
  copy_in(x, room, in, padding);
  if (stride == 1) { /* dx is the convolution of g, with zeros around, with the kernel turned by half a circle */
    long edge = k - 1 - padding, g_across = out.width + 2 * edge;
    float *turned = grad + (out.height + 2 * edge) * g_across * LANES;
    for (int t = 0; t < k * k; t++) store(turned + t * LANES, load(taps + (k * k - 1 - t) * LANES));
    copy_in(g, grad, out, edge);
    convolve(grad, turned, dx, g_across, in, k, 1);
    taps_gradient(grad + (edge * g_across + edge) * LANES, g_across, room, dtaps, across, out, k, 1);
  } else {
    float *dpadded = grad + out.height * out.width * LANES;
    memset(dpadded, 0, pixels * LANES * sizeof *dpadded);
    copy_in(g, grad, out, 0);
    spread(grad, taps, dpadded, across, out, k, stride);
    taps_gradient(grad, out.width, room, dtaps, across, out, k, stride);
    copy_out(dpadded, dx, in, padding);
  }
}

/* x (N, H, W, C), kernel (N, k k, C), y (N, H', W', C); room for LANES ((H + 2 p) (W + 2 p) + k k) floats. */
void depthwise_forward(const float *restrict x, const float *restrict kernel, float *restrict y, float *restrict room, long samples,
                       long height, long width, long channels, long out_height, long out_width, long k, long stride,
                       long padding) {
  long across = width + 2 * padding;
  float *taps = room + (height + 2 * padding) * across * LANES;
  for (long n = 0; n < samples; n++)
    for (long c = 0; c < channels; c += LANES) {
      long live = channels - c < LANES ? channels - c : LANES;
      map in = {height, width, channels, live}, out = {out_height, out_width, channels, live};
      float *to = y + n * out_height * out_width * channels + c;
      copy_taps(kernel + n * k * k * channels + c, taps, k * k, channels, live);
      copy_in(x + n * height * width * channels + c, room, in, padding);
      if (k == 3 && stride == 1) convolve(room, taps, to, across, out, 3, 1);
      else if (k == 3) convolve(room, taps, to, across, out, 3, stride);
      else if (k == 5) convolve(room, taps, to, across, out, 5, stride);
      else convolve(room, taps, to, across, out, (int)k, stride);
    }
}

/* As forward, with g like y, dx like x, dkernel like kernel; room for LANES (2 (H + 2 p) (W + 2 p) + (H' + 2 k) (W' + 2 k) + 3 k k). */
void depthwise_backward(const float *restrict g, const float *restrict x, const float *restrict kernel, float *restrict dx,
                        float *restrict dkernel, float *restrict room, long samples, long height, long width, long channels,
                        long out_height, long out_width, long k, long stride, long padding) {
  float *taps = room, *dtaps = taps + k * k * LANES, *rest = dtaps + k * k * LANES;
  for (long n = 0; n < samples; n++)
    for (long c = 0; c < channels; c += LANES) {
      long live = channels - c < LANES ? channels - c : LANES;
      map in = {height, width, channels, live}, out = {out_height, out_width, channels, live};
      const float *grad = g + n * out_height * out_width * channels + c, *from = x + n * height * width * channels + c;
      float *to = dx + n * height * width * channels + c, *dto = dkernel + n * k * k * channels + c;
      copy_taps(kernel + n * k * k * channels + c, taps, k * k, channels, live);
      if (k == 3 && stride == 1) gradients(grad, from, to, taps, dtaps, rest, in, out, 3, 1, padding);
      else if (k == 3) gradients(grad, from, to, taps, dtaps, rest, in, out, 3, stride, padding);
      else if (k == 5) gradients(grad, from, to, taps, dtaps, rest, in, out, 5, stride, padding);
      else gradients(grad, from, to, taps, dtaps, rest, in, out, (int)k, stride, padding);
      for (long t = 0; t < k * k; t++)
        for (long i = 0; i < live; i++) dto[t * channels + i] = dtaps[t * LANES + i];
    }
}
