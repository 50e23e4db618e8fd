/* Weights of one output channel, drawn on the 8-bit grid. */
#ifndef RELUFLOW_EDGE_DRAW_H
#define RELUFLOW_EDGE_DRAW_H

#include "reluflow_edge.h"

/* How one operator draws in a run. */
typedef struct {
  uint32_t key_a, key_b;
  uint8_t log2_samples;
  uint8_t nearest;
} reluflow_key;

void reluflow_key_of(const reluflow_weights* weights, const reluflow_draws* draws,
                     reluflow_key* key);

/* Draw a channel, whose first weight is number `first`; drawn[t * inputs + c] is tap t of input c.
 */
void reluflow_draw_channel(const reluflow_weights* weights, const reluflow_key* key,
                           uint32_t channel, uint32_t first, int8_t* drawn);

#endif
