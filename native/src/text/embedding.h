// Puts the vectors of a text's tokens together into one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace se {

// `mean` of all tokens, the first one's (`cls`) or the `last` one's.
class Pooling {
 public:
  // INVALID_ARGUMENT: another name.
  Pooling(const std::string &name, size_t size);

  // The next rows.
  void add(std::span<const float> rows);
  // The vector, with the length 1 if it is `normalized`.
  void finish(bool normalized, std::span<float> out) const;

 private:
  enum class Kind { mean, cls, last };

  Kind kind_;
  size_t rows_ = 0;
  std::vector<double> sum_;
};

}  // namespace se
