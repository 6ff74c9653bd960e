// Arguments and results of the C API: checked, and copied in and out.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string>

#include "base/status.h"

namespace se {

template <typename T>
T &target(T *pointer, const char *name) {
  require(pointer != nullptr, std::string(name) + " is NULL");
  return *pointer;
}

inline const char *string_argument(const char *string, const char *name) { return &target(string, name); }

inline std::string text_or_empty(const char *text) { return text == nullptr ? "" : text; }

template <typename T>
std::span<const T> span_argument(const T *items, size_t count, const char *name) {
  require(items != nullptr || count == 0, std::string(name) + " is NULL");
  return {items, count};
}

// Copies the fields that the caller's struct has: it may be older and shorter than ours, or newer and longer.
template <typename Options>
void copy_options(const Options *given, Options &options) {
  if (given == nullptr) return;
  require(given->size >= sizeof(size_t) && given->size <= 4096,
          "the size of the options is out of range: " + ticked(std::to_string(given->size)),
          "set size to sizeof(the struct)");
  std::memcpy(static_cast<void *>(&options), given, std::min(given->size, sizeof(Options)));
  options.size = sizeof(Options);
}

inline char *copy_string(const std::string &text) {
  auto *copy = static_cast<char *>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

// The functions that return a string: `make()` inside guard.
template <typename Make>
se_status guard_string(char **out, Make &&make) noexcept {
  return guard([&] {
    char *&copy = target(out, "the string's out_ argument");
    copy = copy_string(make());
  });
}

// The functions that report how a call went: `call(result)` inside guard. The result is copied to the caller's struct,
// as far as that reaches, whether the call succeeded or was stopped; `exported` makes the C struct of it.
template <typename Result, typename CResult, typename Call>
se_status guard_with_result(CResult *out, Call &&call) noexcept {
  Result result;
  const se_status status = guard([&] {
    require(out == nullptr || (out->size >= sizeof(size_t) && out->size <= 4096),
            "the size of the result is out of range", "set size to sizeof(the struct)");
    call(result);
  });
  if (out != nullptr && (status == SE_OK || status == SE_CANCELLED || status == SE_TIMEOUT)) {
    CResult copy = exported(result);
    const size_t size = out->size;
    copy.size = size;
    std::memcpy(static_cast<void *>(out), &copy, std::min(size, sizeof(copy)));
  }
  return status;
}

}  // namespace se
