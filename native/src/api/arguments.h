// Arguments as they come over the C line: checked, and copied in and out.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "base/status.h"

namespace se {

template <typename T>
T &target(T *pointer, const char *name) {
  require(pointer != nullptr, std::string(name) + " is NULL");
  return *pointer;
}

inline const char *string_argument(const char *string, const char *name) { return &target(string, name); }

// Copies what the caller's struct has of ours: it may be older and shorter, or newer and longer.
template <typename Options>
void copy_options(const Options *given, Options &options) {
  if (given == nullptr) return;
  require(given->size >= sizeof(size_t) && given->size <= 4096,
          "the options' size is impossible: " + ticked(std::to_string(given->size)), "set size to sizeof(the struct)");
  std::memcpy(static_cast<void *>(&options), given, std::min(given->size, sizeof(Options)));
  options.size = sizeof(Options);
}

inline char *copy_string(const std::string &text) {
  auto *copy = static_cast<char *>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

// Copies `result` to the caller's struct as far as that goes. Its size was checked by check_result_size.
template <typename Result>
void copy_result(Result result, Result *out) {
  const size_t size = out->size;
  result.size = size;
  std::memcpy(static_cast<void *>(out), &result, std::min(size, sizeof(result)));
}

template <typename Result>
void check_result_size(const Result *out) {
  require(out == nullptr || (out->size >= sizeof(size_t) && out->size <= 4096), "the result's size is impossible",
          "set size to sizeof(the struct)");
}

// The entry points that tell how a call went: runs `call` with a fresh account inside guard, and copies the account to
// the caller's, if there is one, whether the call succeeded or was stopped.
template <typename Result, typename Call>
se_status guard_with_result(Result *out, Call &&call) noexcept {
  Result result{};
  const se_status status = guard([&] {
    check_result_size(out);
    call(result);
  });
  if (out != nullptr && (status == SE_OK || status == SE_CANCELLED || status == SE_TIMEOUT)) copy_result(result, out);
  return status;
}

}  // namespace se
