// The operators through the C ABI: what a host sees, refusals above all.
#include <functional>
#include <map>

#include "hash/hash.h"
#include "reluflow/operators.h"
#include "support/check.h"
#include "support/fake_host.h"
#include "support/support.h"

using namespace reluflow;

namespace {

/// The library registers its operators once per process: one host serves all cases.
fake::Host& host() {
  static fake::Host instance;
  static const std::string refusal = instance.load();
  CHECK_EQ(refusal, "");
  return instance;
}

/// A working PsbConv of 3 x 3 taps on [1, 2, 4, 4], which cases then spoil.
struct ConvNode {
  fake::Value x = fake::value(abi::kFloat, {1, 2, 4, 4}, std::vector<float>(32, 0.5f));
  fake::Value w = fake::value(abi::kUint8, {13, 7}, std::vector<uint8_t>(91, 0));
  fake::Value emax = fake::value(abi::kInt8, {3}, std::vector<int8_t>{0, 1, -1});
  fake::Value b = fake::value(abi::kFloat, {3}, std::vector<float>{1, 2, -3});
  fake::Value samples = fake::value(abi::kInt64, {}, std::vector<int64_t>{4});
  fake::Value seed = fake::value(abi::kInt64, {1}, std::vector<int64_t>{7});
  fake::Node node;
  std::vector<fake::Value> outputs;

  ConvNode() {
    node.lists["weight_shape"] = {3, 2, 3, 3};
    node.ints["p_bits"] = 8;
    node.inputs = {&x, &w, &emax, &b, &samples, &seed};
    node.constant = {false, true, true, true, false, false};
  }
  std::string run() { return host().run("PsbConv", node, &outputs); }
};

std::string refusal(const std::function<void(ConvNode&)>& spoil) {
  ConvNode conv;
  spoil(conv);
  const std::string message = conv.run();
  ConvNode good;
  CHECK_EQ(good.run(), "");
  return message;
}

}  // namespace

TEST(an_old_host_is_refused_in_one_sentence) {
  fake::Host old;
  old.newest_api = 16;
  CHECK_HAS(old.load(), "needs ONNX Runtime 1.17 or newer, but this is 1.0.fake");
}

TEST(zero_weights_give_the_bias) {
  for (const bool constant : {true, false}) {
    ConvNode conv;
    conv.node.constant[1] = constant;
    conv.node.strings["activation"] = "relu";
    CHECK_EQ(conv.run(), "");
    CHECK(conv.outputs[0].dims == (std::vector<int64_t>{1, 3, 2, 2}));
    const float* y = reinterpret_cast<const float*>(conv.outputs[0].bytes.data());
    for (int i = 0; i < 12; ++i) CHECK_EQ(y[i], i < 4 ? 1.0f : i < 8 ? 2.0f : 0.0f);
  }
}

TEST(bias_and_region_may_be_left_out) {
  ConvNode conv;
  conv.node.inputs[3] = nullptr;
  conv.node.inputs.push_back(nullptr);
  conv.node.constant.push_back(false);
  CHECK_EQ(conv.run(), "");
  CHECK_EQ(*reinterpret_cast<const float*>(conv.outputs[0].bytes.data()), 0.0f);
}

TEST(z_is_added_before_the_activation) {
  ConvNode conv;
  conv.node.strings["activation"] = "relu";
  fake::Value z = fake::value(abi::kFloat, {1, 3, 2, 2}, std::vector<float>(12, -1.5f));
  conv.node.inputs.insert(conv.node.inputs.end(), {nullptr, &z});
  conv.node.constant.insert(conv.node.constant.end(), {false, false});
  CHECK_EQ(conv.run(), "");
  const float* y = reinterpret_cast<const float*>(conv.outputs[0].bytes.data());
  for (int i = 0; i < 12; ++i) CHECK_EQ(y[i], i / 4 == 1 ? 0.5f : 0.0f);
  z.dims = {0};
  CHECK_EQ(conv.run(), "");
  CHECK_EQ(reinterpret_cast<const float*>(conv.outputs[0].bytes.data())[4], 2.0f);
  z.dims = {1, 3, 4, 1};
  CHECK_HAS(conv.run(), "Z has shape [1, 3, 4, 1], but that of Y, [1, 3, 2, 2], is wanted");
  z.type = abi::kUint8;
  CHECK_HAS(conv.run(), "Z is not float32");
}

TEST(wrong_attributes_are_refused) {
  using C = ConvNode;
  CHECK_HAS(refusal([](C& c) { c.node.strings["sampler"] = "dice"; }),
            "PsbConv: sampler is \"dice\", but one of systematic, binomial, nearest is accepted");
  CHECK_HAS(refusal([](C& c) { c.node.strings["draws"] = "never"; }), "draws is \"never\"");
  CHECK_HAS(refusal([](C& c) { c.node.strings["activation"] = "elu"; }), "activation is \"elu\"");
  CHECK_HAS(refusal([](C& c) { c.node.ints["p_bits"] = 5; }), "p_bits is 5, but 1, 2, 3, 4, 6, 8");
  CHECK_HAS(refusal([](C& c) { c.node.ints["x_bits"] = 17; }), "x_bits is 17, but 2 to 16");
  CHECK_HAS(refusal([](C& c) { c.node.floats["stream"] = 1; }), "attribute stream cannot be read");
  CHECK_HAS(refusal([](C& c) { c.node.ints["group"] = 2; }), "group is 2, but a divisor of the 3");
  CHECK_HAS(refusal([](C& c) { c.node.ints["group"] = 0; }), "group is 0");
  CHECK_HAS(refusal([](C& c) { c.node.lists["strides"] = {1}; }), "strides is [1], but 2 whole");
  CHECK_HAS(refusal([](C& c) { c.node.lists["dilations"] = {0, 1}; }), "dilations is [0, 1]");
  CHECK_HAS(refusal([](C& c) { c.node.lists["pads"] = {1, 1, 1, -1}; }), "pads is [1, 1, 1, -1]");
  CHECK_HAS(refusal([](C& c) { c.node.strings["auto_pad"] = "SAME"; }), "auto_pad is \"SAME\"");
  CHECK_HAS(refusal([](C& c) { c.node.lists["weight_shape"] = {3, 2}; }), "weight_shape is [3, 2]");
  CHECK_HAS(refusal([](C& c) { c.node.lists.clear(); }), "weight_shape is []");
  CHECK_HAS(refusal([](C& c) { c.node.lists["weight_shape"] = {0, 2, 3, 3}; }),
            "weight_shape is [0, 2, 3, 3]");
  CHECK_HAS(refusal([](C& c) { c.node.lists["weight_shape"] = {1 << 15, 2, 1 << 15, 2}; }),
            "fewer than 2^31 weights is wanted");
  CHECK_HAS(refusal([](C& c) { c.node.strings["rounding"] = "up"; }),
            "rounding is \"up\", but one of half, carried is accepted");
  CHECK_HAS(refusal([](C& c) { c.node.ints["stream"] = -1; }), "stream is -1, but 0 to 4294967295");
  CHECK_HAS(refusal([](C& c) { c.node.floats["clip_min"] = std::nanf(""); }), "clip_min is nan");
  CHECK_HAS(refusal([](C& c) { c.node.floats = {{"clip_min", 2}, {"clip_max", 1}}; }),
            "but clip_min <= clip_max is wanted");
  CHECK_HAS(refusal([](C& c) { c.node.lists["dilations"] = {int64_t{1} << 31, 1}; }),
            "dilations is [2147483648, 1]");
  CHECK_HAS(refusal([](C& c) { c.node.lists["weight_shape"] = {1 << 30, 1 << 30, 1 << 30, 4}; }),
            "weight_shape is [");
}

TEST(geometry_beyond_64_bits_is_refused_and_not_run) {
  const std::string message = refusal([](ConvNode& c) {
    c.node.lists["pads"] = {0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff};
    c.node.lists["dilations"] = {2147483647, 2147483647};
  });
  CHECK_HAS(message, "PsbConv: X of shape [1, 2, 4, 4] with its padding");
}

TEST(nothing_of_the_size_of_the_weights_is_made_before_they_are_seen) {
  // 2^31 - 2 weights: their order alone would take 16 GiB. W is far too small for them.
  for (const bool constant : {true, false}) {
    const std::string message = refusal([&](ConvNode& c) {
      c.node.lists["weight_shape"] = {3, 2, 17895697, 20};
      c.node.lists["pads"] = {17895697, 20, 17895697, 20};
      c.node.constant[1] = constant;
    });
    CHECK_HAS(message, "W has shape [13, 7], but [13, 268435455] is wanted");
  }
}

TEST(constants_are_looked_at_when_the_kernel_is_made) {
  const auto early = [](const std::function<void(ConvNode&)>& spoil) {
    return refusal([&](ConvNode& c) {
      c.node.constant.assign(6, true);
      c.node.constant[0] = false;
      c.x.dims = {1};  // would be refused at the run
      spoil(c);
    });
  };
  CHECK_HAS(early([](ConvNode& c) { c.emax.dims = {1, 3}; }), "emax has shape [1, 3]");
  CHECK_HAS(early([](ConvNode& c) { c.b.dims = {4}; }), "B has shape [4]");
  CHECK_HAS(early([](ConvNode& c) { c.samples.bytes[0] = 5; }), "samples is 5");
  CHECK_HAS(early([](ConvNode& c) { c.samples.dims = {1, 1}; }), "samples has shape [1, 1]");
}

TEST(an_exponent_that_is_none_is_taken_from_the_run) {
  ConvNode with;
  with.node.ints["x_exponent"] = -1000;
  ConvNode without;
  CHECK_EQ(with.run(), "");
  CHECK_EQ(without.run(), "");
  CHECK(with.outputs[0].bytes == without.outputs[0].bytes);
}

TEST(wrong_inputs_are_refused) {
  using C = ConvNode;
  CHECK_HAS(refusal([](C& c) { c.w.dims = {13, 6}; }),
            "W has shape [13, 6], but [13, 7] is wanted");
  CHECK_HAS(refusal([](C& c) {
              c.node.constant[1] = false;
              c.w.dims = {12, 7};
            }),
            "W has shape [12, 7], but [13, 7] is wanted");
  CHECK_HAS(refusal([](C& c) { c.w.bytes[90] = 255; }), "bits set behind its last weight");
  CHECK_HAS(refusal([](C& c) { c.emax.dims = {4}; }), "emax has shape [4], but [3] is wanted");
  CHECK_HAS(refusal([](C& c) { c.b.dims = {1, 3}; }), "B has shape [1, 3], but [3] is wanted");
  CHECK_HAS(refusal([](C& c) { c.x.dims = {1, 4, 2, 4}; }), "X has shape [1, 4, 2, 4]");
  CHECK_HAS(refusal([](C& c) { c.x.dims = {1, 2, 16}; }), "X has shape [1, 2, 16], but rank 4");
  CHECK_HAS(refusal([](C& c) { c.x.dims = {1, 2, 2, 8}; }), "X has 2 pixels along a spatial axis");
  CHECK_HAS(refusal([](C& c) { c.x.type = abi::kUint8; }), "X is not float32");
  CHECK_HAS(refusal([](C& c) { c.samples.bytes[0] = 5; }), "samples is 5, but 1, 2, 4");
  CHECK_HAS(refusal([](C& c) { c.samples.bytes.assign(8, 255); }), "samples is -1");
  CHECK_HAS(refusal([](C& c) { c.seed.dims = {2}; }), "seed has shape [2], but one number");
  CHECK_HAS(refusal([](C& c) {
              c.node.inputs.push_back(&c.b);
              c.node.constant.push_back(false);
            }),
            "region has element type 1, but bool or uint8");
}

TEST(the_header_names_all_operators) {
  std::map<std::string, int> registered;
  for (const OrtCustomOp* op : host().ops) registered[op->GetName(op)] = op->GetStartVersion(op);
  std::map<std::string, int> named;
#define RELUFLOW_NAMED(name, version) named[#name] = version;
  RELUFLOW_OPERATORS(RELUFLOW_NAMED)
  CHECK(registered == named);
}

TEST(an_unknown_kernel_is_refused) {
  setenv("RELUFLOW_KERNEL", "abacus", 1);
  ConvNode conv;
  CHECK_HAS(conv.run(), "RELUFLOW_KERNEL is abacus, but portable");
  for (const Kernels* k : test::tables()) {
    setenv("RELUFLOW_KERNEL", k->name, 1);
    CHECK_EQ(conv.run(), "");
  }
  unsetenv("RELUFLOW_KERNEL");
}

TEST(a_product_has_its_shape_and_refusals) {
  fake::Value a = fake::value(abi::kFloat, {2, 1, 3}, std::vector<float>(6, 1.0f));
  // One weight of 1.0 a row: p_bits 1, q 0, nibble 15 at weights 0 and 3.
  fake::Value w = fake::value(abi::kUint8, {6, 1}, std::vector<uint8_t>{0, 9, 9, 9, 9, 0});
  fake::Value emax = fake::value(abi::kInt8, {2}, std::vector<int8_t>{0, 1});
  fake::Value scalar = fake::value(abi::kInt64, {}, std::vector<int64_t>{1});
  fake::Node node;
  node.lists["weight_shape"] = {2, 3};
  node.ints["p_bits"] = 1;
  node.inputs = {&a, &w, &emax, nullptr, &scalar, &scalar};
  node.constant = {false, true, true, false, false, false};
  std::vector<fake::Value> out;
  CHECK_EQ(host().run("PsbMatMul", node, &out), "");
  CHECK(out[0].dims == (std::vector<int64_t>{2, 1, 2}));
  CHECK_EQ(reinterpret_cast<const float*>(out[0].bytes.data())[3], 2.0f);
  fake::Value z = fake::value(abi::kFloat, {2, 1, 2}, std::vector<float>{0, 0, 0, 0.5f});
  node.inputs.push_back(&z);
  node.constant.push_back(false);
  CHECK_EQ(host().run("PsbMatMul", node, &out), "");
  CHECK_EQ(reinterpret_cast<const float*>(out[0].bytes.data())[3], 2.5f);
  z.dims = {2, 2};
  CHECK_HAS(host().run("PsbMatMul", node, &out), "Z has shape [2, 2], but that of Y, [2, 1, 2]");
  node.inputs.pop_back();
  a.dims = {2, 3, 1};
  CHECK_HAS(host().run("PsbMatMul", node, &out), "A has shape [2, 3, 1], but [..., 3] is wanted");
  node.lists["weight_shape"] = {2, 3, 1};
  CHECK_HAS(host().run("PsbMatMul", node, &out), "weight_shape is [2, 3, 1], but [N, K]");
}

TEST(fingerprints_have_their_shapes_and_refusals) {
  fake::Value x = fake::value(abi::kFloat, {2, 3, 2},
                              std::vector<float>{1, -1, 2, 2, -1, 0, -1, 1, 0, 0, 3, 1});
  fake::Node node;
  node.inputs = {&x};
  node.constant = {false};
  node.ints["seed"] = 3;
  std::vector<fake::Value> out;
  CHECK_EQ(host().run("PatternHash", node, &out), "");
  CHECK(out[0].dims == (std::vector<int64_t>{2, 2, 2}));
  const std::vector<uint64_t> words = unit_words(3, 3);
  const uint64_t* keys = reinterpret_cast<const uint64_t*>(out[0].bytes.data());
  CHECK_EQ(keys[0], words[0] ^ words[2]);
  CHECK_EQ(keys[7], words[1] ^ words[5]);
  CHECK(out[2].dims.empty());
  node.ints["unit_axis"] = 3;
  CHECK_HAS(host().run("PatternHash", node, &out), "unit_axis is 3, but X has shape [2, 3, 2]");
  node.ints["unit_axis"] = -3;
  CHECK_EQ(host().run("PatternHash", node, &out), "");
  CHECK(out[0].dims == (std::vector<int64_t>{3, 2, 2}));
  node.floats["threshold"] = std::nanf("");
  CHECK_HAS(host().run("PatternHash", node, &out), "threshold is NaN");
}

TEST(a_blocked_tensor_gives_the_fingerprints_of_its_true_units) {
  std::vector<float> data(16, 1.0f);  // 3 true units, 2 samples, 5 that fill the block up
  data[8 + 1] = -1.0f;
  fake::Value x = fake::value(abi::kFloat, {1, 8, 1, 2}, data);
  fake::Node node;
  node.inputs = {&x};
  node.constant = {false};
  node.ints = {{"seed", 3}, {"block", 8}, {"units", 3}};
  std::vector<fake::Value> out;
  CHECK_EQ(host().run("PatternHash", node, &out), "");
  CHECK(out[0].dims == (std::vector<int64_t>{1, 1, 2, 2}));
  CHECK(out[1].dims == (std::vector<int64_t>{3}));
  const std::vector<uint64_t> words = unit_words(3, 3);
  const uint64_t* keys = reinterpret_cast<const uint64_t*>(out[0].bytes.data());
  CHECK_EQ(keys[0], words[0] ^ words[2] ^ words[4]);
  CHECK_EQ(keys[2], words[0] ^ words[4]);
  node.ints["units"] = 9;
  CHECK_HAS(host().run("PatternHash", node, &out),
            "X has shape [1, 8, 1, 2], but 9 units in blocks of 8 make an axis 1 of 16; give the");
  node.ints["units"] = 0;
  CHECK_HAS(host().run("PatternHash", node, &out), "units is 0, but a blocked X has 1 or more");
  node.ints["block"] = 4;
  CHECK_HAS(host().run("PatternHash", node, &out), "block is 4, but 8 and 16 are accepted");
}

TEST(nothing_is_left_behind) { CHECK_EQ(fake::alive(), 0); }

CHECK_MAIN
