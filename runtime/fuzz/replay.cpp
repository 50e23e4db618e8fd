// Runs a fuzzer's function over kept inputs, with any compiler: `fuzz_NAME FILE.hex`, an input a
// line.
#include <fstream>
#include <string>

#include "fuzz/bytes.h"

int main(int count, char** arguments) {
  int ran = 0;
  for (int i = 1; i < count; ++i) {
    std::ifstream file(arguments[i]);
    std::string line;
    while (std::getline(file, line)) {
      std::vector<uint8_t> bytes;
      for (size_t at = 0; at + 1 < line.size(); at += 2)
        bytes.push_back(static_cast<uint8_t>(std::stoi(line.substr(at, 2), nullptr, 16)));
      LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      ++ran;
    }
  }
  std::printf("%d inputs\n", ran);
  return ran > 0 ? 0 : 1;
}
