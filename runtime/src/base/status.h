// The result of a function that can refuse: nothing, or one sentence.
#ifndef RELUFLOW_BASE_STATUS_H
#define RELUFLOW_BASE_STATUS_H

#include <string>
#include <utility>

namespace reluflow {

/// Empty when all is well; else one sentence that names the argument, its value and what to do.
class [[nodiscard]] Status {
 public:
  Status() = default;
  explicit Status(std::string message) : message_(std::move(message)) {}

  bool ok() const { return message_.empty(); }
  const std::string& message() const { return message_; }

 private:
  std::string message_;
};

}  // namespace reluflow

/// Returns the status of an expression to the caller unless all is well.
#define RELUFLOW_RETURN_IF_BAD(expression)                                        \
  do {                                                                            \
    if (::reluflow::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

#endif
