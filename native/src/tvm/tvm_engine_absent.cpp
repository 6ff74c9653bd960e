// Replaces tvm_engine.cpp in builds without TVM.
#include "base/status.h"
#include "tvm/tvm_engine.h"

namespace se {

std::unique_ptr<Engine> make_tvm_engine(const Bundle &, const EngineOptions &) {
  throw Error(SE_UNSUPPORTED, "this runtime was built without the engine for compiled models",
              "build it with TVM, or package the model as GGUF");
}

}  // namespace se
