// Regions: the runs of a mask, and what the operators' inputs `region` and `base` accept.
#include <functional>
#include <set>
#include <string>

#include "spec/region.h"
#include "support/check.h"
#include "support/fake_host.h"
#include "support/support.h"

using namespace reluflow;

namespace {

fake::Host& host() {
  static fake::Host instance;
  static const std::string refusal = instance.load();
  CHECK_EQ(refusal, "");
  return instance;
}

/// Sizes from 1 to those of `most`.
PixelGrid random_grid(std::mt19937& rng, const PixelGrid& most) {
  const auto size = [&](int64_t largest) { return 1 + static_cast<int64_t>(rng()) % largest; };
  return {size(most.batch), size(most.rows), size(most.columns)};
}

std::vector<uint8_t> random_mask(const PixelGrid& grid, std::mt19937& rng) {
  std::vector<uint8_t> mask(static_cast<size_t>(grid.count()));
  // Long stretches of either kind: a mask of noise has no runs.
  uint8_t value = 0;
  const uint32_t turn = 1 + rng() % 40;
  for (uint8_t& m : mask) {
    if (rng() % turn == 0) value = static_cast<uint8_t>(rng() % 2 ? 0 : 1 + rng() % 255);
    m = value;
  }
  return mask;
}

/// A working FromFixed16 of 2 x 3 pixels and 2 channels, which cases then spoil.
struct EndNode {
  fake::Value x = fake::value(abi::kInt16, {1, 2, 3, 2},
                              std::vector<int16_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  fake::Value region = fake::value(abi::kBool, {1, 2, 3}, std::vector<uint8_t>{1, 0, 0, 0, 1, 1});
  fake::Value base = fake::value(abi::kFloat, {1, 2, 2, 3}, std::vector<float>(12, -7.0f));
  fake::Node node;
  std::vector<fake::Value> outputs;

  EndNode() {
    node.inputs = {&x, &region, &base};
    node.constant = {false, false, false};
  }
  std::string run() { return host().run("FromFixed16", node, &outputs); }
  float y(size_t i) const { return reinterpret_cast<const float*>(outputs[0].bytes.data())[i]; }
};

std::string refusal(const std::function<void(EndNode&)>& spoil) {
  EndNode end;
  spoil(end);
  return end.run();
}

}  // namespace

TEST(runs_are_the_pixels_of_the_mask_in_order) {
  std::mt19937 rng(1);
  for (int repeat = 0; repeat < 400; ++repeat) {
    const PixelGrid grid = random_grid(rng, {3, 9, 150});
    const std::vector<uint8_t> mask = random_mask(grid, rng);
    const Region region(mask.data(), grid);
    int64_t at = 0;
    int64_t count = 0;
    for (const PixelRun& run : region.runs()) {
      CHECK(run.length >= 1 && run.length <= kMostRun);
      CHECK(run.column + run.length <= grid.columns);
      const int64_t first = region.first(run);
      for (; at < first; ++at) CHECK_EQ(int{mask[static_cast<size_t>(at)]}, 0);
      for (; at < first + run.length; ++at) CHECK(mask[static_cast<size_t>(at)] != 0);
      count += run.length;
    }
    for (; at < grid.count(); ++at) CHECK_EQ(int{mask[static_cast<size_t>(at)]}, 0);
    CHECK_EQ(region.count(), count);
  }
}

TEST(a_long_run_is_cut_into_equal_ones) {
  const std::vector<uint8_t> mask(100, 255);
  const Region region(mask.data(), {1, 1, 100});
  CHECK_EQ(region.runs().size(), size_t{4});
  for (const PixelRun& run : region.runs()) CHECK_EQ(run.length, int64_t{25});
}

TEST(pieces_hold_enough_pixels_and_every_run) {
  std::mt19937 rng(2);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const PixelGrid grid = random_grid(rng, {2, 30, 60});
    const std::vector<uint8_t> mask = random_mask(grid, rng);
    const Region region(mask.data(), grid);
    const int64_t wanted = 1 + static_cast<int64_t>(rng()) % 100;
    const std::vector<size_t> begins = region.pieces(wanted);
    CHECK_EQ(begins.back(), region.runs().size());
    CHECK(region.count() == 0 ? begins.size() == 1 : begins.front() == 0);
    for (size_t i = 0; i + 1 < begins.size(); ++i) {
      int64_t held = 0;
      for (size_t r = begins[i]; r < begins[i + 1]; ++r) held += region.runs()[r].length;
      CHECK(held > 0 && held < wanted + kMostRun);
      CHECK(held >= wanted || i + 2 == begins.size());
    }
  }
}

TEST(every_run_is_worked_on_once) {
  std::mt19937 rng(3);
  const PixelGrid grid{2, 20, 70};
  const std::vector<uint8_t> mask = random_mask(grid, rng);
  const Region region(mask.data(), grid);
  for (const int threads : {1, 2, 5}) {
    std::vector<uint8_t> seen(mask.size(), 0);
    test::Threads runner(threads);
    for_each_run(runner, region, 50, [&](const PixelRun& run) {
      for (int64_t i = 0; i < run.length; ++i) ++seen[static_cast<size_t>(region.first(run) + i)];
    });
    for (size_t i = 0; i < mask.size(); ++i) CHECK_EQ(int{seen[i]}, mask[i] != 0 ? 1 : 0);
  }
}

TEST(pixels_outside_get_the_base) {
  for (const int type : {int{abi::kBool}, int{abi::kUint8}}) {
    EndNode end;
    end.region.type = type;
    CHECK_EQ(end.run(), "");
    const float wanted[12] = {1, -7, -7, -7, 9, 11, 2, -7, -7, -7, 10, 12};
    for (size_t i = 0; i < 12; ++i) CHECK_EQ(end.y(i), wanted[i]);
  }
}

TEST(empty_inputs_count_as_left_out) {
  for (int form = 0; form < 3; ++form) {
    EndNode end;
    if (form == 0) end.region.dims = end.base.dims = {0};
    if (form == 1) end.node.inputs = {&end.x};
    if (form == 2) end.node.inputs = {&end.x, nullptr, nullptr};
    CHECK_EQ(end.run(), "");
    for (size_t i = 0; i < 12; ++i) {
      const size_t source = i % 6 * 2 + i / 6;
      CHECK_EQ(end.y(i), static_cast<float>(source + 1));
    }
  }
}

TEST(an_empty_base_leaves_what_is_there) {
  EndNode end;
  end.base.dims = {0};
  CHECK_EQ(end.run(), "");
  CHECK_EQ(end.y(0), 1.0f);
  CHECK_EQ(end.y(11), 12.0f);
}

TEST(an_input_without_pixels_has_no_region) {
  EndNode end;
  end.x.dims = {0, 2, 3, 2};
  end.region.dims = {0, 2, 3};
  end.base.dims = {0, 2, 2, 3};
  CHECK_EQ(end.run(), "");
  CHECK(end.outputs[0].dims == (std::vector<int64_t>{0, 2, 2, 3}));
}

TEST(wrong_regions_are_refused) {
  using E = EndNode;
  CHECK_HAS(refusal([](E& e) { e.region.dims = {1, 3, 2}; }),
            "FromFixed16: region has shape [1, 3, 2], but [1, 2, 3] is wanted; give a mask of Y");
  CHECK_HAS(refusal([](E& e) { e.region.dims = {1, 1, 2, 3}; }), "region has shape [1, 1, 2, 3]");
  CHECK_HAS(refusal([](E& e) { e.region.dims = {6}; }), "region has shape [6], but [1, 2, 3]");
  CHECK_HAS(refusal([](E& e) { e.region.type = abi::kInt8; }),
            "region has element type 3, but bool or uint8 is wanted");
  CHECK_HAS(refusal([](E& e) { e.base.dims = {1, 2, 3, 2}; }),
            "base has shape [1, 2, 3, 2], but that of Y, [1, 2, 2, 3], is wanted");
  CHECK_HAS(refusal([](E& e) { e.region.dims = {0}; }),
            "base has shape [1, 2, 2, 3], but there is no region; give a region, or no base");
  CHECK_HAS(refusal([](E& e) { e.node.inputs[1] = nullptr; }), "but there is no region");
}

TEST(nothing_is_left_behind) { CHECK_EQ(fake::alive(), 0); }

CHECK_MAIN
