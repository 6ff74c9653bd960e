// Why a call of compiled GPU code failed, kept across TVM's C interface, which carries no status of ours.
#pragma once

#include <exception>
#include <optional>

#include "base/status.h"

namespace se {

// Keeps the first failure of this thread: it is the reason for those that follow.
void keep_gpu_failure(const Error &error);
// The message of the failure that is kept.
const char *kept_gpu_failure();
// Why this thread's last call of compiled code for a GPU failed, if it did; then forgotten.
std::optional<Error> take_gpu_failure();

// Runs `body` and stores what it throws; returns whether it threw nothing.
template <typename Body>
bool kept(Body &&body) noexcept {
  try {
    body();
    return true;
  } catch (const Error &error) {
    keep_gpu_failure(error);
  } catch (const std::exception &error) {
    keep_gpu_failure(Error(SE_INTERNAL, error.what()));
  } catch (...) {
    keep_gpu_failure(Error(SE_INTERNAL, "unexpected failure of an unknown kind"));
  }
  return false;
}

}  // namespace se
