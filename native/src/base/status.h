// Failure as a value: the one exception of the core, and the guard that turns it into a status in the C functions.
#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "base/library_gate.h"
#include "sphere_edge.h"

namespace se {

// What happened in one lower-case sentence, what the user can do about it, and the status for the caller to act on.
class Error : public std::exception {
 public:
  Error(se_status status, std::string message, std::string hint = "")
      : status(status), message(std::move(message)), hint(std::move(hint)) {}
  const char *what() const noexcept override { return message.c_str(); }

  se_status status;
  std::string message;
  std::string hint;
};

// Keeps the failure for se_last_error and se_last_hint of this thread; returns its status. Where there is no memory for
// the words, there are none.
se_status remember(const Error &error) noexcept;
se_status remember(se_status status, const char *message, const char *hint = "") noexcept;

// An exception that is not ours.
se_status remember_unexpected(const char *what) noexcept;

// Forgets this thread's last failure.
void forget_failure() noexcept;

const char *last_message() noexcept;
const char *last_hint() noexcept;

// Runs `body` and turns whatever it throws into a status: every C function is one call of this.
template <typename Body>
se_status guard(Body &&body) noexcept {
  if (se_library_refusal() != nullptr) return SE_FORMAT_MISMATCH;
  forget_failure();
  try {
    std::forward<Body>(body)();
    return SE_OK;
  } catch (const Error &error) {
    return remember(error);
  } catch (const std::bad_alloc &) {
    return remember(SE_OOM_RAM, "not enough memory", "close other programs or open with a shorter context");
  } catch (const std::exception &error) {
    return remember_unexpected(error.what());
  } catch (...) {
    return remember(SE_INTERNAL, "unexpected failure of an unknown kind");
  }
}

// Throws INVALID_ARGUMENT unless `holds`.
inline void require(bool holds, const std::string &message, const std::string &hint = "") {
  if (!holds) throw Error(SE_INVALID_ARGUMENT, message, hint);
}

// The form of values in messages: `value`. (std::quoted would be found by its argument.)
inline std::string ticked(const std::string &value) { return "`" + value + "`"; }
inline std::string ticked(uint64_t number) { return ticked(std::to_string(number)); }

}  // namespace se
