// A handle of the C API: one open manager and the guard of its calls, the same for text, audio and images.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "api/arguments.h"
#include "base/call_guard.h"
#include "base/status.h"

namespace se {

// `Manager` has `kTask`, for messages, and `info_json()`. `Guard`: whether it takes one call at a time or many.
template <typename Manager, typename Guard = CallGuard>
class Handle {
 public:
  explicit Handle(std::unique_ptr<Manager> manager) : manager_(std::move(manager)) {}

  // For what does not change while the model is open.
  const Manager &manager() const { return *manager_; }

  // One call on the manager: `body(manager, interrupt)`. `call_id` is for cancel_call; 0: none.
  template <typename Body>
  auto call(uint32_t timeout_ms, Body &&body, uint64_t call_id = 0) {
    const typename Guard::Call call(guard_, timeout_ms, call_id);
    return body(*manager_, call.interrupt());
  }

  void cancel() { guard_.cancel(); }
  void cancel_call(uint64_t call_id) { guard_.cancel_call(call_id); }
  bool is_used_by_this_thread() { return guard_.is_used_by_this_thread(); }
  void wait() { guard_.wait(); }
  static std::string name() { return std::string("the ") + Manager::kTask + " handle"; }

 private:
  Guard guard_;
  std::unique_ptr<Manager> manager_;
};

// `H` is a struct of the C API that derives from Handle.
template <typename H>
H &checked(H *handle) {
  require(handle != nullptr, H::name() + " is NULL");
  return *handle;
}

template <typename H, typename Open>
se_status open_handle(H **out, Open &&open) noexcept {
  return guard([&] {
    H *&opened = target(out, "the handle's out_ argument");
    opened = new H(open());
  });
}

template <typename H>
void close_handle(H *handle) noexcept {
  if (handle == nullptr) return;
  if (handle->is_used_by_this_thread()) {
    // It would wait for itself.
    remember(SE_INVALID_ARGUMENT, "the model was not closed from its own callback", "close it when the call is over");
    return;
  }
  handle->wait();
  delete handle;
}

template <typename H>
void cancel_handle(H *handle) noexcept {
  if (handle != nullptr) handle->cancel();
}

template <typename H>
se_status handle_info(H *handle, char **out_json) noexcept {
  return guard_string(out_json, [&] {
    return checked(handle).call(0, [](auto &manager, const Interrupt &) { return manager.info_json(); });
  });
}

}  // namespace se
