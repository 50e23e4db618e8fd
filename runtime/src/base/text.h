// Values as shown in the sentence of a refusal.
#ifndef RELUFLOW_BASE_TEXT_H
#define RELUFLOW_BASE_TEXT_H

#include <cstdint>
#include <string>
#include <vector>

namespace reluflow {

/// `[1, 2, 3]`, for messages.
std::string text_of(const std::vector<int64_t>& dims);

}  // namespace reluflow

#endif
