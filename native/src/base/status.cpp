// Keeps each thread's last failure and names the status codes.
#include "base/status.h"

namespace se {
namespace {

struct Failure {
  std::string message;
  std::string hint;
};

thread_local Failure failure;

}  // namespace

se_status remember(const Error &error) noexcept {
  return remember(error.status, error.message.c_str(), error.hint.c_str());
}

se_status remember(se_status status, const char *message, const char *hint) noexcept {
  try {
    failure.message = message;
    failure.hint = hint;
  } catch (...) {
    forget_failure();
  }
  return status;
}

se_status remember_unexpected(const char *what) noexcept {
  try {
    return remember(SE_INTERNAL, (std::string("unexpected failure: ") + what).c_str());
  } catch (...) {
    return remember(SE_INTERNAL, "unexpected failure");
  }
}

void forget_failure() noexcept {
  failure.message.clear();
  failure.hint.clear();
}

const char *last_message() noexcept { return failure.message.c_str(); }
const char *last_hint() noexcept { return failure.hint.c_str(); }

}  // namespace se

extern "C" const char *se_status_name(se_status status) {
  switch (status) {
    case SE_OK:
      return "OK";
    case SE_OOM_VRAM:
      return "OOM_VRAM";
    case SE_OOM_RAM:
      return "OOM_RAM";
    case SE_MODEL_CORRUPT:
      return "MODEL_CORRUPT";
    case SE_TIMEOUT:
      return "TIMEOUT";
    case SE_CANCELLED:
      return "CANCELLED";
    case SE_UNSUPPORTED:
      return "UNSUPPORTED";
    case SE_INTERNAL:
      return "INTERNAL";
    case SE_FORMAT_MISMATCH:
      return "FORMAT_MISMATCH";
    case SE_LOAD_FAILED:
      return "LOAD_FAILED";
    case SE_INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case SE_NOT_FOUND:
      return "NOT_FOUND";
    case SE_STORAGE:
      return "STORAGE";
    case SE_UNAVAILABLE:
      return "UNAVAILABLE";
    case SE_UNTRUSTED:
      return "UNTRUSTED";
  }
  return "UNKNOWN";
}
