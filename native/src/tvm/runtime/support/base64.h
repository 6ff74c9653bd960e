// Tensors as text, which TVM's compiler writes into JSON; no compiled model holds any, so it is refused here.
#pragma once

#include <tvm/ffi/error.h>
#include <tvm/support/io.h>

namespace tvm::support {

class Base64Stream : public Stream {
 public:
  using Stream::Read;
  using Stream::Write;

  explicit Base64Stream(Stream *) { TVM_FFI_THROW(RuntimeError) << "this runtime does not turn tensors into text"; }

  size_t Read(void *, size_t) override { return 0; }
  size_t Write(const void *, size_t) override { return 0; }
  void InitPosition() {}
  void Finish() {}
};

using Base64InStream = Base64Stream;
using Base64OutStream = Base64Stream;

}  // namespace tvm::support
