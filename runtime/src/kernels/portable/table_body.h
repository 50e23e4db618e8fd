// The table of an instruction set that has nothing of its own but the tile.
//
// In an unnamed namespace on purpose: every table includes this and compiles a copy of its own. No
// function of the standard library may be called here: its inline copies, compiled for one
// instruction set, could be linked into the code of another.
#ifndef RELUFLOW_KERNELS_PORTABLE_TABLE_BODY_H
#define RELUFLOW_KERNELS_PORTABLE_TABLE_BODY_H

#include "kernels/kernels.h"
#include "kernels/portable/blocked_hash_body.h"
#include "kernels/portable/bytes_body.h"
#include "kernels/portable/depthwise_body.h"
#include "kernels/portable/fixed16_body.h"
#include "kernels/portable/fixed_body.h"
#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

template <void (*kTile)(int, int, const TileArgs&)>
[[maybe_unused]] Kernels common_kernels(const char* name, int tile_pixels) {
  Kernels k{};
  k.name = name;
  k.tile_pixels = tile_pixels;
  k.tile = kTile;
  k.tile_runs = runs_by_tile<kTile>;
  k.max_abs_bits = common_max_abs_bits;
  k.pack_row = common_pack_row;
  k.join = common_join;
  k.store_planar = common_store_planar;
  k.store_rows = common_store_rows;
  k.draw = common_draw;
  k.random = common_random;
  k.pack_words = common_pack_words;
  k.pack_neighbours = common_pack_neighbours;
  k.depthwise = common_depthwise;
  k.hash = common_hash<float>;
  k.hash_rows = common_hash_rows<float>;
  k.hash_doubles = common_hash<double>;
  k.hash_double_rows = common_hash_rows<double>;
  k.fixed_tile = common_fixed_tile;
  k.fixed_depthwise = common_fixed_depthwise;
  k.fixed_draw = common_fixed_draw;
  k.fixed_sums = common_fixed_sums;
  k.fixed_pack = common_fixed_pack;
  k.fixed_max = common_fixed_max;
  k.fixed_table = common_fixed_table;
  k.bytes_add = common_bytes_add;
  k.bytes_mul = common_bytes_mul;
  k.bytes_sum = common_bytes_sum;
  k.bytes_mean = common_bytes_mean;
  k.bytes_mix = common_mix<uint8_t>;
  k.shorts_mix = common_mix<int16_t>;
  k.fixed16_store = common_fixed16_store;
  k.fixed16_depthwise = common_fixed16_depthwise;
  k.fixed16_pack = common_fixed16_pack;
  k.fixed16_max = common_fixed16_max;
  k.fixed16_range = common_fixed16_range;
  k.blocked_hash = common_blocked_hash;
  return k;
}

}  // namespace

}  // namespace reluflow

#endif
