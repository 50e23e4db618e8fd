// What PsbConv and PsbMatMul share as nodes: attributes, weights and run-time inputs.
#ifndef RELUFLOW_OPS_PSB_PSB_NODE_H
#define RELUFLOW_OPS_PSB_PSB_NODE_H

#include <functional>
#include <memory>
#include <optional>

#include "fixed16/weights16.h"
#include "grid/grid_weights.h"
#include "host/host.h"
#include "kernels/cpu.h"
#include "spec/psb_spec.h"
#include "weights/weights.h"

namespace reluflow {

/// Inputs of both PSB nodes, by number. PsbConv goes on with `region`, Z and `base`, PsbMatMul with
/// Z.
enum PsbInput : size_t { kX = 0, kW, kEmax, kB, kSamples, kSeed, kFurther };

/// The weights, exponents and bias of one run, and how they are sampled.
template <class Store>
struct PsbInputsOf {
  Store* weights = nullptr;
  std::unique_ptr<Store> own;  ///< where W is not constant, unpacked for this run
  Tensor emax;
  std::optional<Tensor> bias;
  Precision precision;
};

/// The part of a node that is fixed when its kernel is created. Its weights are kept as `Store`.
template <class Store>
class PsbNodeOf {
 public:
  /// Reads the common attributes; `spec.channels` and `weights_per_channel` come from `dims`, whose
  /// product has been checked. `shape` takes memory of the size of the weights: it is called when
  /// the shape of W is known to be right.
  Status create(const NodeInfo& info, const std::vector<int64_t>& dims,
                std::function<LaneShape()> shape);

  /// Reads and checks all inputs but X.
  Status open(Call& call, PsbInputsOf<Store>* out) const;

  const PsbSpec& spec() const { return spec_; }
  const Kernels& kernels() const { return *kernels_; }

 private:
  Status read_attributes(const NodeInfo& info);
  Status check_constants(const NodeInfo& info) const;
  Status make_weights(const Tensor& planes, std::unique_ptr<Store>* out) const;

  PsbSpec spec_;
  std::function<LaneShape()> shape_;
  const Kernels* kernels_ = nullptr;
  std::unique_ptr<Store> weights_;  // where W is constant; its cache has its own lock
};

using PsbNode = PsbNodeOf<Weights>;
using PsbInputs = PsbInputsOf<Weights>;
using FixedNode = PsbNodeOf<GridWeights>;
using FixedInputs = PsbInputsOf<GridWeights>;
using Fixed16Node = PsbNodeOf<Weights16>;
using Fixed16Inputs = PsbInputsOf<Weights16>;

/// Refuses a `weight_shape` of another rank, with sizes below 1, or of 2^31 weights or more.
Status check_weight_shape(const std::vector<int64_t>& shape, std::initializer_list<size_t> ranks,
                          const char* wanted);

/// Refuses anything but float32.
Status check_float(const Tensor& tensor, const char* name);

/// Reads the optional input Z, number `index`: values like those of Y, whose shape is `dims`;
/// left out or of shape [0] there is nothing to add.
Status open_z(Call& call, size_t index, const std::vector<int64_t>& dims, const float** out);

}  // namespace reluflow

#endif
