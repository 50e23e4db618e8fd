// What all tables of NEON have in common.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_NEON_TABLE_BODY_H
#define RELUFLOW_KERNELS_NEON_NEON_TABLE_BODY_H

#include "kernels/neon/blocked_hash_body.h"
#include "kernels/neon/depthwise_body.h"
#include "kernels/neon/fixed16_body.h"
#include "kernels/neon/fixed_depthwise_body.h"
#include "kernels/neon/fixed_draw_body.h"
#include "kernels/neon/fixed_tile_body.h"
#include "kernels/neon/rows_body.h"
#include "kernels/neon/tile_body.h"
#include "kernels/portable/table_body.h"

namespace reluflow {

namespace {

/// A table whose quads of bytes are added by `Dot`. What it takes from `common_kernels` a compiler
/// turns into vectors by itself.
template <class Dot>
Kernels neon_table(const char* name) {
  Kernels k = common_kernels<neon_tile>(name, kNeonPixels);
  k.depthwise = neon_depthwise;
  k.fixed_tile = neon_fixed_tile<Dot>;
  k.fixed_depthwise = neon_fixed_depthwise;
  k.fixed_draw = neon_fixed_draw;
  k.fixed_sums = neon_fixed_sums<Dot>;
  k.fixed_pack = neon_fixed_pack;
  k.fixed_table = neon_fixed_table;
  k.bytes_mix = neon_mix<uint8_t>;
  k.shorts_mix = neon_mix<int16_t>;
  k.fixed16_store = neon_fixed16_store;
  k.fixed16_depthwise = neon_fixed16_depthwise;
  k.blocked_hash = neon_blocked_hash;
  return k;
}

}  // namespace

}  // namespace reluflow

#endif
