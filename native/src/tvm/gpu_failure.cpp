// One failure per thread.
#include "tvm/gpu_failure.h"

#include <utility>

namespace se {
namespace {

thread_local std::optional<Error> kept_failure;

}  // namespace

void keep_gpu_failure(const Error &error) {
  if (!kept_failure) kept_failure = error;
}

const char *kept_gpu_failure() { return kept_failure ? kept_failure->message.c_str() : "no reason given"; }

std::optional<Error> take_gpu_failure() { return std::exchange(kept_failure, std::nullopt); }

}  // namespace se
