// Sums in double precision.
#include "text/embedding.h"

#include <cmath>

#include "base/status.h"

namespace se {

Pooling::Pooling(const std::string &name, size_t size) : sum_(size) {
  if (name == "mean") {
    kind_ = Kind::mean;
  } else if (name == "cls") {
    kind_ = Kind::cls;
  } else if (name == "last") {
    kind_ = Kind::last;
  } else {
    throw Error(SE_INVALID_ARGUMENT, "no such pooling: " + ticked(name), "mean, cls or last");
  }
}

void Pooling::add(std::span<const float> rows) {
  for (; !rows.empty(); rows = rows.subspan(sum_.size()), ++rows_) {
    const auto row = rows.first(sum_.size());
    if (kind_ == Kind::last || (kind_ == Kind::cls && rows_ == 0)) sum_.assign(row.begin(), row.end());
    if (kind_ != Kind::mean) continue;
    for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += row[i];
  }
}

void Pooling::finish(bool normalized, std::span<float> out) const {
  double divisor = kind_ == Kind::mean ? static_cast<double>(rows_) : 1;
  if (normalized) {
    double squares = 0;
    for (const double number : sum_) squares += number * number;
    divisor = squares > 0 ? std::sqrt(squares) : 1;
  }
  for (size_t i = 0; i < sum_.size(); ++i) {
    if (!std::isfinite(sum_[i])) throw Error(SE_INTERNAL, "the model computed an embedding that is not finite");
    out[i] = static_cast<float>(sum_[i] / divisor);
  }
}

}  // namespace se
