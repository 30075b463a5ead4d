/* Float32 kernels of a training step, on one thread. Maps are channels last: (rows, channels), or (N, H, W, C), in memory.
 * No function allocates memory: the caller passes the workspace (`room`). */
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define MOST 4096 /* largest number of channels of a norm */
#define ROWS 128  /* most rows whose sums are kept in float32 before they are added in float64 */
#define NEAR 2048 /* elements of a map that fit in the nearest cache together with those of two other maps */
#define TURNS 4   /* rows with separate sums, so that no addition waits for the previous one */

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
typedef float vector __attribute__((vector_size(LANES * sizeof(float))));
typedef int mask __attribute__((vector_size(LANES * sizeof(int))));

long lanes(void) { return LANES; }

INLINE vector load(const float *p) {
  vector v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float *p, vector v) { memcpy(p, &v, sizeof v); }

/* Loads the first `live` lanes and sets the others to 0; with the constant LANES it is a single instruction. */
INLINE vector load_live(const float *p, long live) {
  if (live == LANES) return load(p);
  vector v = {0};
  for (long i = 0; i < live; i++) v[i] = p[i];
  return v;
}

INLINE void store_live(float *p, vector v, long live) {
  if (live == LANES) store(p, v);
  else for (long i = 0; i < live; i++) p[i] = v[i];
}

/* Start of the block at `at`, moved back so that the block ends within `all`; the last block may overlap the one before. */
INLINE long fitted(long at, long size, long all) { return at + size <= all ? at : all - size; }

/* ---- BatchNorm over the rows, followed by a clamp (ReLU or ReLU6) ---- */

/* Selects v where the mask is set, else other. */
INLINE vector chosen(mask set, vector v, vector other) { return (vector)(((mask)v & set) | ((mask)other & ~set)); }

INLINE vector clamped(vector v, vector low, vector high) { /* NaN stays NaN */
  v = chosen(v < low, low, v);
  return chosen(v > high, high, v);
}

/* Gradient of the clamp: g where v is strictly inside the bounds, else 0. */
INLINE vector passed(vector g, vector v, vector low, vector high) { return (vector)((mask)g & (v > low) & (v < high)); }

/* Size of a norm's map or gradient. With fewer than LANES channels, `tiles` rows are treated as one row of repeated channels. */
typedef struct { long rows, channels, tiles; } rows_of;

INLINE rows_of tiled(long rows, long channels) {
  long tiles = channels < LANES ? LANES : 1;
  return (rows_of){rows / tiles, channels * tiles, tiles};
}

/* Copies the first channels / tiles values to the other tiles. */
INLINE void repeat(float *values, rows_of m) {
  for (long c = m.channels / m.tiles; c < m.channels; c++) values[c] = values[c - m.channels / m.tiles];
}

/* Adds the sums of all tiles of each channel. */
INLINE void join(double *sums, rows_of m) {
  for (long c = m.channels - 1; c >= m.channels / m.tiles; c--) sums[c - m.channels / m.tiles] += sums[c];
}

#define EACH_BLOCK(m, c)                                                                                                   \
  for (long at_ = 0, c = 0; at_ < (m).channels && ((c = fitted(at_, LANES, (m).channels)), 1); at_ += LANES)

/* Number of rows of a chunk, a multiple of TURNS. */
INLINE long chunk(rows_of m) {
  long rows = NEAR / m.channels / TURNS * TURNS;
  return rows < TURNS ? TURNS : rows > ROWS ? ROWS : rows;
}

/* Iterates over chunks of rows from the last to the first, because the last ones are still in the processor's cache. */
#define CHUNKS_BACKWARDS(m, first, last)                                                                                   \
  for (long step_ = chunk(m), first = ((m).rows - 1) / step_ * step_, last = (m).rows; first >= 0; last = first, first -= step_)
#define CHUNKS(m, first, last)                                                                                             \
  for (long step_ = chunk(m), first = 0, last;                                                                             \
       first < (m).rows && ((last = first + step_ < (m).rows ? first + step_ : (m).rows), 1); first = last)

INLINE void moments(const float *restrict x, long first, long last, rows_of m, const float *restrict near, float *restrict s,
                    float *restrict q) {
  EACH_BLOCK(m, c) {
    vector about = load(near + c), sums[TURNS] = {0}, squares[TURNS] = {0};
    long p = first;
    for (; p + TURNS <= last; p += TURNS)
      for (int t = 0; t < TURNS; t++) {
        vector d = load(x + (p + t) * m.channels + c) - about;
        sums[t] += d;
        squares[t] += d * d;
      }
    for (; p < last; p++) {
      vector d = load(x + p * m.channels + c) - about;
      sums[0] += d;
      squares[0] += d * d;
    }
    for (int t = 1; t < TURNS; t++) sums[0] += sums[t], squares[0] += squares[t];
    store(s + c, sums[0]);
    store(q + c, squares[0]);
  }
}

INLINE void normalise(const float *restrict x, float *restrict y, const float *restrict slope, const float *restrict offset,
                      rows_of m, int clamp, float low, float high) {
  vector least = low - (vector){0}, most = high - (vector){0};
  CHUNKS_BACKWARDS(m, first, last)
  EACH_BLOCK(m, c) {
    vector a = load(slope + c), b = load(offset + c);
    for (long p = first; p < last; p++) {
      vector v = load(x + p * m.channels + c) * a + b;
      store(y + p * m.channels + c, clamp ? clamped(v, least, most) : v);
    }
  }
}

INLINE void norm_values(const float *restrict x, float *restrict y, const float *restrict weight, const float *restrict bias,
                        float *restrict running_mean, float *restrict running_variance, float *restrict mean,
                        float *restrict inverse, rows_of m, float eps, float momentum, int clamp, float low, float high) {
  double sum[MOST], square[MOST];
  float s[MOST], q[MOST], near[MOST]; /* near: estimate of the mean, subtracted first to avoid cancellation in the squares */
  long channels = m.channels / m.tiles, rows = m.rows * m.tiles, some = chunk(m) < m.rows ? chunk(m) : m.rows;
  memset(near, 0, m.channels * sizeof *near);
  moments(x, 0, some, m, near, s, q);
  for (long c = 0; c < m.channels; c++) near[c] = s[c] / some, sum[c] = square[c] = 0;
  repeat(near, m);
  CHUNKS(m, first, last) {
    moments(x, first, last, m, near, s, q);
    for (long c = 0; c < m.channels; c++) sum[c] += s[c], square[c] += q[c];
  }
  join(sum, m);
  join(square, m);
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
  repeat(s, m);
  repeat(q, m);
  normalise(x, y, s, q, m, clamp, low, high);
}

/* y = clamp((x - mean) inverse weight + bias), inverse = 1 / sqrt(variance + eps). Stores mean and inverse for the backward pass,
 * and updates the running statistics with this batch's. */
void norm_forward(const float *restrict x, float *restrict y, const float *restrict weight, const float *restrict bias,
                  float *restrict running_mean, float *restrict running_variance, float *restrict mean,
                  float *restrict inverse, long rows, long channels, float eps, float momentum, int clamp, float low,
                  float high) {
  rows_of m = tiled(rows, channels);
  if (clamp) norm_values(x, y, weight, bias, running_mean, running_variance, mean, inverse, m, eps, momentum, 1, low, high);
  else norm_values(x, y, weight, bias, running_mean, running_variance, mean, inverse, m, eps, momentum, 0, low, high);
}

/* Sums, over some rows, of the gradient inside the clamp, and of its products with x - mean. */
INLINE void sums_of_gradient(const float *restrict g, const float *restrict x, long first, long last, rows_of m,
                             const float *restrict slope, const float *restrict offset, const float *restrict mean,
                             float *restrict s, float *restrict q, int clamp, vector low, vector high) {
  EACH_BLOCK(m, c) {
    vector a = load(slope + c), b = load(offset + c), about = load(mean + c);
    vector sums[TURNS] = {0}, products[TURNS] = {0};
    long p = first;
    for (; p + TURNS <= last; p += TURNS)
      for (int t = 0; t < TURNS; t++) {
        vector v = load(x + (p + t) * m.channels + c), d = load(g + (p + t) * m.channels + c);
        d = clamp ? passed(d, v * a + b, low, high) : d;
        sums[t] += d;
        products[t] += d * (v - about);
      }
    for (; p < last; p++) {
      vector v = load(x + p * m.channels + c), d = load(g + p * m.channels + c);
      d = clamp ? passed(d, v * a + b, low, high) : d;
      sums[0] += d;
      products[0] += d * (v - about);
    }
    for (int t = 1; t < TURNS; t++) sums[0] += sums[t], products[0] += products[t];
    store(s + c, sums[0]);
    store(q + c, products[0]);
  }
}

INLINE void norm_gradients(const float *restrict g, const float *restrict x, float *restrict dx, const float *restrict weight,
                           const float *restrict bias, const float *restrict mean, const float *restrict inverse,
                           float *restrict dweight, float *restrict dbias, rows_of m, int clamp, float low, float high) {
  double sum[MOST], product[MOST];
  float s[MOST], q[MOST], about[MOST], slope[MOST], offset[MOST], along[MOST], shift[MOST];
  vector least = low - (vector){0}, most = high - (vector){0};
  long channels = m.channels / m.tiles, rows = m.rows * m.tiles;
  for (long c = 0; c < channels; c++) {
    about[c] = mean[c];
    slope[c] = inverse[c] * weight[c];
    offset[c] = bias[c] - mean[c] * slope[c];
  }
  memset(sum, 0, m.channels * sizeof *sum);
  memset(product, 0, m.channels * sizeof *product);
  repeat(about, m);
  repeat(slope, m);
  repeat(offset, m);
  CHUNKS(m, first, last) {
    sums_of_gradient(g, x, first, last, m, slope, offset, about, s, q, clamp, least, most);
    for (long c = 0; c < m.channels; c++) sum[c] += s[c], product[c] += q[c];
  }
  join(sum, m);
  join(product, m);
  for (long c = 0; c < channels; c++) {
    dbias[c] = (float)sum[c];
    dweight[c] = (float)(product[c] * inverse[c]);
    along[c] = (float)(-slope[c] * inverse[c] * inverse[c] * product[c] / rows);
    shift[c] = (float)(-slope[c] * sum[c] / rows) - along[c] * mean[c];
  }
  repeat(along, m);
  repeat(shift, m);
  CHUNKS_BACKWARDS(m, first, last)
  EACH_BLOCK(m, c) {
    vector a = load(slope + c), b = load(offset + c);
    vector by = load(along + c), plus = load(shift + c);
    for (long p = first; p < last; p++) {
      vector v = load(x + p * m.channels + c), t = load(g + p * m.channels + c);
      t = clamp ? passed(t, v * a + b, least, most) : t;
      store(dx + p * m.channels + c, a * t + by * v + plus);
    }
  }
}

void norm_backward(const float *g, const float *x, float *dx, const float *weight, const float *bias, const float *mean,
                   const float *inverse, float *dweight, float *dbias, long rows, long channels, int clamp, float low,
                   float high) {
  rows_of m = tiled(rows, channels);
  if (clamp) norm_gradients(g, x, dx, weight, bias, mean, inverse, dweight, dbias, m, 1, low, high);
  else norm_gradients(g, x, dx, weight, bias, mean, inverse, dweight, dbias, m, 0, low, high);
}

/* ---- Depthwise convolution with one kernel per sample ----
 * LANES channels of one sample at a time are copied into a small zero-padded map, where every tap is one vector. */

#define ACROSS 4 /* outputs computed together, so that no addition waits for the previous one */

/* A sample's map: height and width, distance in memory from one pixel to the next, and the number of channels in use of LANES. */
typedef struct { long height, width, channels, live; } map;

/* Copies a map into the middle of a map with `padding` pixels around it, which are zero already. */
INLINE void copy_in(const float *restrict x, float *restrict to, map m, long padding) {
  long across = m.width + 2 * padding;
  for (long h = 0; h < m.height; h++)
    for (long w = 0; w < m.width; w++, x += m.channels)
      store(to + ((h + padding) * across + padding + w) * LANES, load_live(x, m.live));
}

INLINE void copy_out(const float *restrict from, float *restrict x, map m, long padding) {
  long across = m.width + 2 * padding;
  for (long h = 0; h < m.height; h++)
    for (long w = 0; w < m.width; w++, x += m.channels)
      store_live(x, load(from + ((h + padding) * across + padding + w) * LANES), m.live);
}

/* y = base + the zero-padded map convolved with the k k taps in `held`; `across` is the width of the padded map. */
INLINE void convolve(const float *restrict padded, const vector *restrict held, vector base, float *restrict y, long across,
                     map out, int k, long stride) {
  for (long h = 0; h < out.height; h++) {
    const float *from = padded + h * stride * across * LANES;
    long w = 0;
    for (; w + ACROSS <= out.width; w += ACROSS, from += ACROSS * stride * LANES, y += ACROSS * out.channels) {
      vector total[ACROSS];
      for (int i = 0; i < ACROSS; i++) total[i] = base;
      for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++)
          for (int i = 0; i < ACROSS; i++) total[i] += held[u * k + v] * load(from + (u * across + v + i * stride) * LANES);
      for (int i = 0; i < ACROSS; i++) store_live(y + i * out.channels, total[i], out.live);
    }
    for (; w < out.width; w++, from += stride * LANES, y += out.channels) {
      vector total = base;
      for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++) total += held[u * k + v] * load(from + (u * across + v) * LANES);
      store_live(y, total, out.live);
    }
  }
}

/* Adds each output gradient, times the taps, to the pixels that the taps read; computes dx where the stride is above 1. */
INLINE void spread(const float *restrict g, const vector *restrict held, float *restrict dx, long across, map out, int k,
                   long stride) {
  for (long h = 0; h < out.height; h++) {
    float *to = dx + h * stride * across * LANES;
    for (long w = 0; w < out.width; w++, to += stride * LANES, g += out.channels) {
      vector grad = load_live(g, out.live);
      for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++) {
          float *at = to + (u * across + v) * LANES;
          store(at, load(at) + held[u * k + v] * grad);
        }
    }
  }
}

INLINE void taps_gradient(const float *restrict g, const float *restrict padded, float *restrict dtaps, long across, map out,
                          int k, long stride) {
  vector sums[k * k];
  for (int t = 0; t < k * k; t++) sums[t] = (vector){0};
  for (long h = 0; h < out.height; h++) {
    const float *from = padded + h * stride * across * LANES;
    for (long w = 0; w < out.width; w++, from += stride * LANES, g += out.channels) {
      vector grad = load_live(g, out.live);
      for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++) sums[u * k + v] += grad * load(from + (u * across + v) * LANES);
    }
  }
  for (int t = 0; t < k * k; t++) store_live(dtaps + t * out.channels, sums[t], out.live);
}

INLINE void forward_of(const float *restrict x, const float *restrict taps, float *restrict y, float *restrict room, map in,
                       map out, int k, long stride, long padding) {
  vector held[k * k];
  for (int t = 0; t < k * k; t++) held[t] = load_live(taps + t * in.channels, in.live);
  copy_in(x, room, in, padding);
  convolve(room, held, (vector){0}, y, in.width + 2 * padding, out, k, stride);
}

INLINE void input_gradient_of(const float *restrict g, const float *restrict taps, const float *restrict base,
                              float *restrict dx, float *restrict room, map in, map out, int k, long stride, long padding) {
  vector held[k * k], under = base ? load_live(base, in.live) : (vector){0};
  if (stride == 1) { /* dx is the convolution of the zero-padded g with the kernel rotated by 180 degrees */
    long edge = k - 1 - padding;
    for (int t = 0; t < k * k; t++) held[t] = load_live(taps + (k * k - 1 - t) * in.channels, in.live);
    copy_in(g, room, out, edge);
    convolve(room, held, under, dx, out.width + 2 * edge, in, k, 1);
  } else {
    long across = in.width + 2 * padding, pixels = (in.height + 2 * padding) * across;
    for (int t = 0; t < k * k; t++) held[t] = load_live(taps + t * in.channels, in.live);
    for (long i = 0; i < pixels; i++) store(room + i * LANES, under);
    spread(g, held, room, across, out, k, stride);
    copy_out(room, dx, in, padding);
  }
}

INLINE void taps_gradient_of(const float *restrict g, const float *restrict x, float *restrict dtaps, float *restrict room,
                             map in, map out, int k, long stride, long padding) {
  copy_in(x, room, in, padding);
  taps_gradient(g, room, dtaps, in.width + 2 * padding, out, k, stride);
}

/* For each sample n and each block of LANES channels from c on (or all channels, if fewer): the call for its kernel size and
 * stride. */
#define EACH_MAP(call, ...)                                                                                                \
  for (long n = 0; n < samples; n++)                                                                                       \
    for (long first = 0; first < channels; first += LANES) {                                                               \
      long live = channels < LANES ? channels : LANES, c = fitted(first, live, channels);                                  \
      map in = {height, width, channels, LANES}, out = {out_height, out_width, channels, LANES};                           \
      map few_in = {height, width, channels, live}, few_out = {out_height, out_width, channels, live};                     \
      long in_at = n * height * width * channels + c, out_at = n * out_height * out_width * channels + c;                  \
      long taps_at = n * k * k * channels + c;                                                                             \
      if (live < LANES) call(__VA_ARGS__, few_in, few_out, (int)k, stride, padding);                                       \
      else if (k == 3 && stride == 1) call(__VA_ARGS__, in, out, 3, 1, padding);                                           \
      else if (k == 3) call(__VA_ARGS__, in, out, 3, stride, padding);                                                     \
      else if (k == 5) call(__VA_ARGS__, in, out, 5, stride, padding);                                                     \
      else call(__VA_ARGS__, in, out, (int)k, stride, padding);                                                            \
    }

/* x (N, H, W, C), kernel (N, k k, C), y (N, H', W', C); room: LANES (H + 2 p) (W + 2 p) zeros. */
void depthwise_forward(const float *restrict x, const float *restrict kernel, float *restrict y, float *restrict room, long samples,
                       long height, long width, long channels, long out_height, long out_width, long k, long stride,
                       long padding) {
  EACH_MAP(forward_of, x + in_at, kernel + taps_at, y + out_at, room)
}

/* dx = base + the gradient; g is shaped like y, dx like x, base is (N, C) or NULL. room: LANES (H' + 2 k) (W' + 2 k) zeros, or
 * as for the forward pass where the stride is above 1. */
void depthwise_input_gradient(const float *restrict g, const float *restrict kernel, const float *restrict base,
                              float *restrict dx, float *restrict room, long samples, long height, long width, long channels,
                              long out_height, long out_width, long k, long stride, long padding) {
  EACH_MAP(input_gradient_of, g + out_at, kernel + taps_at, base ? base + n * channels + c : base, dx + in_at, room)
}

/* dkernel is shaped like kernel; room as for the forward pass. */
void depthwise_kernel_gradient(const float *restrict g, const float *restrict x, float *restrict dkernel, float *restrict room,
                               long samples, long height, long width, long channels, long out_height, long out_width, long k,
                               long stride, long padding) {
  EACH_MAP(taps_gradient_of, g + out_at, x + in_at, dkernel + taps_at, room)
}

/* ---- 1x1 convolution with one kernel per sample: products of small matrices ---- */

#define TALL 6 /* rows of a block of results that is held in registers, two vectors wide */
#define SIDE 8 /* rows of the matrix that are transposed together */

/* Computes a block of y (P, D) = base (D) + x (P, C) k (C, D), `tall` rows by `wide` vectors. */
INLINE void product_block(const float *restrict x, const float *restrict k, const float *restrict base, float *restrict y,
                          long inner, long columns, int tall, int wide, long live) {
  vector total[TALL][2];
  for (int j = 0; j < wide; j++)
    for (int i = 0; i < tall; i++) total[i][j] = base ? load_live(base + j * LANES, live) : (vector){0};
  for (long c = 0; c < inner; c++) {
    vector right[2];
    for (int j = 0; j < wide; j++) right[j] = load_live(k + c * columns + j * LANES, live);
    for (int i = 0; i < tall; i++)
      for (int j = 0; j < wide; j++) total[i][j] += x[i * inner + c] * right[j];
  }
  for (int i = 0; i < tall; i++)
    for (int j = 0; j < wide; j++) store_live(y + i * columns + j * LANES, total[i][j], live);
}

INLINE void product_rows(const float *restrict x, const float *restrict k, const float *restrict base, float *restrict y,
                         long inner, long columns, int tall) {
  if (columns < LANES) {
    product_block(x, k, base, y, inner, columns, tall, 1, columns);
    return;
  }
  long d = 0;
  for (; d + 2 * LANES <= columns; d += 2 * LANES)
    product_block(x, k + d, base ? base + d : base, y + d, inner, columns, tall, 2, LANES);
  for (; d < columns; d += LANES) {
    long at = fitted(d, LANES, columns);
    product_block(x, k + at, base ? base + at : base, y + at, inner, columns, tall, 1, LANES);
  }
}

INLINE void product(const float *restrict x, const float *restrict k, const float *restrict base, float *restrict y, long rows,
                    long inner, long columns) {
  if (rows < TALL)
    for (long p = 0; p < rows; p++) product_rows(x + p * inner, k, base, y + p * columns, inner, columns, 1);
  else
    for (long p = 0; p < rows; p += TALL) {
      long at = fitted(p, TALL, rows);
      product_rows(x + at * inner, k, base, y + at * columns, inner, columns, TALL);
    }
}

/* to (C, D) = transpose of from (D, C): SIDE rows of `from` together, whose values are contiguous in `to`. */
INLINE void turn(const float *restrict from, float *restrict to, long rows, long columns) {
  long d = 0;
  for (; d + SIDE <= rows; d += SIDE)
    for (long c = 0; c < columns; c++)
      for (int i = 0; i < SIDE; i++) to[c * rows + d + i] = from[(d + i) * columns + c];
  for (; d < rows; d++)
    for (long c = 0; c < columns; c++) to[c * rows + d] = from[d * columns + c];
}

/* y (N, P, D) = base (N, D), or 0 if NULL, + x (N, P, C) times the transposed kernel (N, D, C); room: C D elements. */
void pointwise_forward(const float *restrict x, const float *restrict kernel, const float *restrict base, float *restrict y,
                       float *restrict room, long samples, long pixels, long channels, long out_channels) {
  for (long n = 0; n < samples; n++) {
    turn(kernel + n * out_channels * channels, room, out_channels, channels);
    product(x + n * pixels * channels, room, base ? base + n * out_channels : base, y + n * pixels * out_channels, pixels,
            channels, out_channels);
  }
}

/* dx = base (N, C), or 0 if NULL, + the gradient; g is shaped like y. */
void pointwise_input_gradient(const float *restrict g, const float *restrict kernel, const float *restrict base,
                              float *restrict dx, long samples, long pixels, long channels, long out_channels) {
  for (long n = 0; n < samples; n++)
    product(g + n * pixels * out_channels, kernel + n * out_channels * channels, base ? base + n * channels : base,
            dx + n * pixels * channels, pixels, out_channels, channels);
}

/* Computes a block of dk (D, C) = g^T x, with g (P, D) and x (P, C), `tall` rows by `wide` vectors. */
INLINE void outer_block(const float *restrict g, const float *restrict x, float *restrict dk, long pixels, long rows,
                        long columns, int tall, int wide, long live) {
  vector total[TALL][2];
  for (int i = 0; i < tall; i++)
    for (int j = 0; j < wide; j++) total[i][j] = (vector){0};
  for (long p = 0; p < pixels; p++) {
    vector right[2];
    for (int j = 0; j < wide; j++) right[j] = load_live(x + p * columns + j * LANES, live);
    for (int i = 0; i < tall; i++)
      for (int j = 0; j < wide; j++) total[i][j] += g[p * rows + i] * right[j];
  }
  for (int i = 0; i < tall; i++)
    for (int j = 0; j < wide; j++) store_live(dk + i * columns + j * LANES, total[i][j], live);
}

INLINE void outer_rows(const float *restrict g, const float *restrict x, float *restrict dk, long pixels, long rows,
                       long columns, int tall) {
  if (columns < LANES) {
    outer_block(g, x, dk, pixels, rows, columns, tall, 1, columns);
    return;
  }
  long c = 0;
  for (; c + 2 * LANES <= columns; c += 2 * LANES) outer_block(g, x + c, dk + c, pixels, rows, columns, tall, 2, LANES);
  for (; c < columns; c += LANES) {
    long at = fitted(c, LANES, columns);
    outer_block(g, x + at, dk + at, pixels, rows, columns, tall, 1, LANES);
  }
}

/* dkernel (N, D, C) = g^T x. */
void pointwise_kernel_gradient(const float *restrict g, const float *restrict x, float *restrict dkernel, long samples,
                               long pixels, long channels, long out_channels) {
  for (long n = 0; n < samples; n++) {
    const float *from = x + n * pixels * channels, *grads = g + n * pixels * out_channels;
    float *to = dkernel + n * out_channels * channels;
    if (out_channels < TALL)
      for (long d = 0; d < out_channels; d++) outer_rows(grads + d, from, to + d * channels, pixels, out_channels, channels, 1);
    else
      for (long d = 0; d < out_channels; d += TALL) {
        long at = fitted(d, TALL, out_channels);
        outer_rows(grads + at, from, to + at * channels, pixels, out_channels, channels, TALL);
      }
  }
}

/* ---- Other parts of a layer whose gates weight the rows and columns of its kernel: pooling, weighting, gradients ---- */

/* p (N, C) = mean of x (N, P, C) over the pixels. */
void pool(const float *restrict x, float *restrict p, long samples, long pixels, long channels) {
  for (long n = 0; n < samples; n++, x += pixels * channels, p += channels)
    for (long first = 0; first < channels; first += LANES) {
      long live = channels < LANES ? channels : LANES, c = fitted(first, live, channels), at = 0;
      vector sums[TURNS] = {0};
      if (live == LANES)
        for (; at + TURNS <= pixels; at += TURNS)
          for (int t = 0; t < TURNS; t++) sums[t] += load(x + (at + t) * channels + c);
      for (; at < pixels; at++) sums[0] += load_live(x + at * channels + c, live);
      for (int t = 1; t < TURNS; t++) sums[0] += sums[t];
      store_live(p + c, sums[0] / (float)pixels, live);
    }
}

/* kernel (N, R, C) = w r c with w (R, C), or (N, R, C) if `each`, row gates r (N, R) and column gates c (N, C). */
void weigh(const float *restrict w, const float *restrict r, const float *restrict c, float *restrict kernel, long samples,
           long each, long rows, long columns) {
  for (long n = 0; n < samples; n++, w += each ? rows * columns : 0, r += rows, c += columns)
    for (long i = 0; i < rows; i++, kernel += columns)
      for (long j = 0; j < columns; j++) kernel[j] = w[i * columns + j] * r[i] * c[j];
}

/* Gradients of w, r and c, each shaped like its variable, from the gradient g of the kernel; without `each`, dw is the sum over
 * the samples. */
void weigh_gradient(const float *restrict g, const float *restrict w, const float *restrict r, const float *restrict c,
                    float *restrict dw, float *restrict dr, float *restrict dc, long samples, long each, long rows,
                    long columns) {
  memset(dw, 0, (each ? samples : 1) * rows * columns * sizeof *dw);
  memset(dc, 0, samples * columns * sizeof *dc);
  for (long n = 0; n < samples; n++, r += rows, c += columns, dr += rows, dc += columns) {
    for (long i = 0; i < rows; i++, g += columns) {
      const float *of = w + i * columns;
      float *to = dw + i * columns, total = 0;
      vector totals = {0};
      long j = 0;
      for (; j + LANES <= columns; j += LANES) {
        vector gradient = load(g + j), gate = load(c + j), product = gradient * load(of + j);
        totals += product * gate;
        store(dc + j, load(dc + j) + product * r[i]);
        store(to + j, load(to + j) + gradient * gate * r[i]);
      }
      for (; j < columns; j++) {
        float product = g[j] * of[j];
        total += product * c[j];
        dc[j] += product * r[i];
        to[j] += g[j] * c[j] * r[i];
      }
      for (int lane = 0; lane < LANES; lane++) total += totals[lane];
      dr[i] = total;
    }
    w += each ? rows * columns : 0;
    dw += each ? rows * columns : 0;
  }
}
