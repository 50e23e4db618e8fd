#include "draw.h"

#include "arithmetic.h"

#define NIBBLE_BITS 4U
#define LARGEST_NIBBLE 15U
#define GRID_BITS 6
#define UNIT_BITS 24U /* behind the point of a mean on the grid */
#define LARGEST 127U
#define LOG2_MOST_SAMPLES 6

int reluflow_draws_of(reluflow_draws* draws, unsigned samples, int64_t seed) {
  uint8_t log2 = 0;
  draws->nearest = samples == 0;
  if (samples == 0) {
    samples = 1U << LOG2_MOST_SAMPLES;
  }
  while (log2 < LOG2_MOST_SAMPLES && (1U << log2) < samples) {
    ++log2;
  }
  draws->log2_samples = log2;
  draws->seed_low = (uint32_t)((uint64_t)seed & UINT32_MAX);
  draws->seed_high = (uint32_t)((uint64_t)seed >> 32);
  return (1U << log2) == samples ? 0 : 1;
}

static uint32_t mixed(uint32_t v) {
  v ^= v >> 16;
  v = reluflow_times(v, UINT32_C(0x7feb352d));
  v ^= v >> 15;
  v = reluflow_times(v, UINT32_C(0x846ca68b));
  return v ^ (v >> 16);
}

void reluflow_key_of(const reluflow_weights* weights, const reluflow_draws* draws,
                     reluflow_key* key) {
  int log2 = draws->log2_samples;
  if (draws->nearest == 0) {
    log2 = reluflow_clamp(log2 + weights->log2_factor, 0, LOG2_MOST_SAMPLES);
  }
  key->log2_samples = (uint8_t)log2;
  key->nearest = (uint8_t)(draws->nearest | weights->nearest);
  key->key_a = mixed(draws->seed_low ^ reluflow_times(UINT32_C(0x9e3779b9), weights->stream + 1U));
  key->key_b = mixed(draws->seed_high + key->key_a + UINT32_C(0x85ebca6b));
}

/* What a channel's draws carry on, one for each c mod 4, and the bits of a probability. */
typedef struct {
  uint8_t carry[4];
  uint8_t p_bits;
} channel_state;

/* The word of a weight: q, the nibble, the sign. */
static uint32_t word_of(const reluflow_weights* weights, uint32_t index) {
  const uint8_t* plane = weights->planes + (index >> 3);
  const unsigned bit = index & 7U;
  const unsigned planes = weights->p_bits + NIBBLE_BITS + 1U;
  uint32_t word = 0;
  unsigned b;
  for (b = 0; b < planes; ++b) {
    word |= ((uint32_t)(*plane >> bit) & 1U) << b;
    plane += weights->plane_bytes;
  }
  return word;
}

/* How often in 256 the larger of two neighbours, `width` apart, is drawn; rest is above the lower.
 */
static uint32_t chance_of(uint32_t rest, uint32_t width, unsigned step_bits) {
  uint32_t chance;
  if (width == (UINT32_C(1) << step_bits)) {
    chance = (rest + (UINT32_C(1) << (step_bits + 15U))) >> (step_bits + 16U);
  } else {
    /* The larger is 127 instead of 128, which only weights of the largest exponent have: their
     * means are multiples of 2^-10. */
    chance = reluflow_quotient(((rest >> 14) + (width << 1)) >> 2, width, 10);
  }
  return chance > 256U ? 256U : chance;
}

static uint32_t drawn_magnitude(channel_state* state, uint32_t mean, unsigned step_bits,
                                uint32_t negative, unsigned lane) {
  const uint32_t step = UINT32_C(1) << step_bits;
  const uint32_t low = (mean >> UNIT_BITS) & ~(step - 1U);
  const uint32_t high = low + step > LARGEST ? LARGEST : low + step;
  const uint32_t before = state->carry[lane];
  uint32_t chance;
  if (low == high) {
    return low;
  }
  chance = chance_of(mean - (low << UNIT_BITS), high - low, step_bits);
  if (chance == 256U) {
    return high;
  }
  if (negative != 0) {
    state->carry[lane] = (uint8_t)((before - chance) & 255U);
    return before < chance ? high : low;
  }
  state->carry[lane] = (uint8_t)((before + chance) & 255U);
  return before + chance >= 256U ? high : low;
}

static uint32_t nearest_magnitude(uint32_t mean, unsigned step_bits) {
  const unsigned shift = UNIT_BITS + step_bits;
  const uint32_t whole = ((mean + (UINT32_C(1) << (shift - 1U))) >> shift) << step_bits;
  return whole > LARGEST ? LARGEST : whole;
}

static int8_t weight_of(channel_state* state, const reluflow_key* key, uint32_t word,
                        unsigned lane) {
  const unsigned p_bits = state->p_bits;
  const uint32_t nibble = (word >> p_bits) & LARGEST_NIBBLE;
  const uint32_t negative = (word >> (p_bits + NIBBLE_BITS)) & 1U;
  const int j = (int)(LARGEST_NIBBLE - nibble);
  uint32_t p16, mean, magnitude;
  int step_bits;
  if (nibble == 0) {
    return 0;
  }
  p16 = (word & ((UINT32_C(1) << p_bits) - 1U)) << (16U - p_bits);
  mean = (UINT32_C(65536) + p16) << (14 - j);
  step_bits = reluflow_clamp(GRID_BITS - j - key->log2_samples, 0, GRID_BITS);
  if (key->nearest != 0) {
    magnitude = nearest_magnitude(mean, (unsigned)step_bits);
  } else {
    magnitude = drawn_magnitude(state, mean, (unsigned)step_bits, negative, lane);
  }
  return (int8_t)(negative != 0 ? -(int)magnitude : (int)magnitude);
}

void reluflow_draw_channel(const reluflow_weights* weights, const reluflow_key* key,
                           uint32_t channel, uint32_t first, int8_t* drawn) {
  const uint32_t bits = mixed(mixed(channel ^ key->key_a) + key->key_b);
  channel_state state;
  unsigned c, t, lane;
  for (lane = 0; lane < 4U; ++lane) {
    state.carry[lane] = (uint8_t)((bits >> (8U * lane)) & 255U);
  }
  state.p_bits = weights->p_bits;
  for (c = 0; c < weights->inputs; ++c) {
    int8_t* at = drawn + c;
    for (t = 0; t < weights->taps; ++t) {
      *at = weight_of(&state, key, word_of(weights, first), c & 3U);
      at += weights->inputs;
      ++first;
    }
  }
}
